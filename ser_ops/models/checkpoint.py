"""Pretrained checkpoints: which revision is read, how large its network may be, and reading it without its code.

A checkpoint is a folder or a name on the hub. It is kept with a trained model as a configuration that needs no hub.
The hub's libraries take seconds to import, so that functions import them.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ser_ops.config.section import MOST_PARAMETERS, MOST_VALUES, SETTINGS_FILES
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.terminal import excerpt

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

LARGEST = 2**17     # of any number in a configuration; labels of an image model that learnt 22,000 classes are the most
GET_AGAIN = "get the checkpoint again"
_RESTORE = "restore the model folder"
_MOST_LAYERS = 128
_LAYERS = ("num_hidden_layers", "num_feat_extract_layers", "num_adapter_layers", "conv_dim", "conv_kernel",
           "conv_stride")
_COMMIT = re.compile("[0-9a-f]{40}")
_OUTPUT = {"output_hidden_states": False, "output_attentions": False, "return_dict": True}  # the models ask themselves

Sizes = TypeVar("Sizes")
Settle = Callable[["PreTrainedConfig", Mapping[str, Any]], "PreTrainedConfig"]


@dataclass(frozen=True)
class Origin:
    """Where a checkpoint is loaded from: arguments of `from_pretrained`, and why the hub cannot give it, or ""."""

    arguments: dict[str, Any]
    absent: str = ""


def read(name: str, revision: str | None, section: str, settle: Settle, new: Collection[str] = (),
         source: Origin | None = None, **build: Any) -> tuple[Any, Any]:
    """(configuration, network) of a checkpoint by hub name or folder, from safetensors alone, running none of its code.

    Only files of `revision` are read (`origin`). `section` of the preset names both, for messages.
    `settle(configuration, arguments)` checks the family and sets what the settings decide, before any weight is read;
    it gets the arguments by which `from_pretrained` reads the same revision. `new` are the weights that may be absent,
    because they begin the same everywhere. `source`: what `origin` said, where it was asked before. `build` goes to
    the network's class.
    Raises UserError when the checkpoint cannot be had, or lacks weights of its own architecture.
    """
    from transformers import AutoConfig, AutoModel, PreTrainedConfig
    with _quiet():
        source = source or origin(name, revision, section)
        arguments = source.arguments | {"trust_remote_code": False}
        if Path(name).is_dir():
            check_numbers(read_json(Path(name) / "config.json", GET_AGAIN, GET_AGAIN), name, GET_AGAIN)
        try:
            check_numbers(PreTrainedConfig.get_config_dict(name, **arguments)[0], name, GET_AGAIN)
            config = settle(AutoConfig.from_pretrained(name, **arguments), source.arguments)
        except UserError:
            raise
        except Exception as error:  # damaged files raise many kinds
            if not source.absent:
                raise UserError(f"{name}: its config.json cannot be used ({excerpt(error)}): {GET_AGAIN}") from error
            raise UserError(
                f"{name}: no such checkpoint: it is no folder, not in this machine's cache, and {source.absent}: get "
                f"it where there is a network (hf download {name} --revision {arguments['revision']} --local-dir "
                f"FOLDER) and set {section}.checkpoint in {SETTINGS_FILES} to that folder, or to null for random "
                "weights"
            ) from error
        try:
            network, report = AutoModel.from_pretrained(
                name, config=config, use_safetensors=True, attn_implementation="eager", dtype="float32",
                output_loading_info=True, **arguments, **build)
        except Exception as error:  # damaged files raise many kinds
            raise UserError(f"{name}: its weights cannot be loaded ({excerpt(error)}): only safetensors are read; "
                            "get the checkpoint again, or convert it with save_pretrained") from error
    missing = sorted(set(report["missing_keys"]) - set(new))
    if missing:
        raise UserError(f"{name}: lacks {len(missing)} of the model's weights ({', '.join(missing[:3])}, ...): get the "
                        "checkpoint again")
    return config, network


def family(name: str, source: Origin) -> str:
    """The model_type of a checkpoint, or "" where it cannot be read: reading the whole checkpoint then says why."""
    try:
        return str(read_file(name, source, "config.json", {}).get("model_type", ""))
    except UserError:
        return ""


def read_file(name: str, source: Origin, file: str, default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A JSON file of a checkpoint. `default` where it has none; without a default, UserError."""
    path = _path(name, source, file)
    if path is None:
        if default is None:
            raise UserError(f"{name}: has no {file}: {GET_AGAIN}")
        return dict(default)
    values = read_json(path, GET_AGAIN, GET_AGAIN)
    if not isinstance(values, dict):
        raise UserError(f"{name}: its {file} holds no settings: {GET_AGAIN}")
    return values


def read_tensors(name: str, source: Origin, prefixes: Collection[str], wanted: Collection[str]) -> dict[str, Tensor]:
    """Weights of a checkpoint by their names without the prefix that stands there: those of `wanted`, and no others.

    They are read from safetensors, in one file or in several with an index. Raises UserError for a checkpoint without.
    """
    from safetensors import SafetensorError, safe_open
    index = read_file(name, source, "model.safetensors.index.json", {}).get("weight_map")
    names = {prefix + key: key for prefix in prefixes for key in wanted}
    files = sorted({str(file) for key, file in index.items() if key in names}) if isinstance(index, dict) else \
        ["model.safetensors"]
    tensors: dict[str, Tensor] = {}
    for file in files:
        path = _path(name, source, file) if "/" not in file else None
        if path is None:
            raise UserError(f"{name}: has no {file}: only safetensors are read: get the checkpoint again, or convert "
                            "it with save_pretrained")
        try:
            with safe_open(path, "pt") as opened:
                tensors |= {names[key]: opened.get_tensor(key) for key in opened.keys() if key in names}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(f"{name}: its {file} cannot be read ({excerpt(error)}): {GET_AGAIN}") from error
    return tensors


def _path(name: str, source: Origin, file: str) -> Path | None:
    """A file of a checkpoint, brought here from the hub where it is there; None where the checkpoint has none."""
    if Path(name).is_dir():
        path = Path(name) / file
        return path if path.is_file() else None
    from huggingface_hub import errors, hf_hub_download
    try:
        return Path(hf_hub_download(name, file, **source.arguments))
    except (errors.EntryNotFoundError, errors.LocalEntryNotFoundError, errors.HFValidationError, OSError):
        return None


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars, reports of unused weights or retries while a checkpoint loads; what matters is checked and raised."""
    import huggingface_hub
    import transformers
    before = [(log, log.get_verbosity()) for log in (transformers.utils.logging, huggingface_hub.utils.logging)]
    bars = transformers.utils.logging.is_progress_bar_enabled()
    try:
        transformers.utils.logging.disable_progress_bar()
        for log, _ in before:
            log.set_verbosity(logging.CRITICAL)
        yield
    finally:
        for log, verbosity in before:
            log.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def kept_config(values: Mapping[str, Any], families: Collection[str], words: str) -> "PreTrainedConfig":
    """The configuration kept with a model (a transformers dictionary).

    Raises UserError when it is none of the `families`, which `words` name.
    """
    from transformers import AutoConfig
    family = values.get("model_type")
    if family not in families:
        raise UserError(f"backbone_config: model_type {family!r} is not of {words}: choose one of "
                        f"{', '.join(families)}")
    check_numbers(values, "backbone_config", _RESTORE)
    try:
        with _quiet():
            return AutoConfig.for_model(**{**values, **_OUTPUT})
    except Exception as error:  # the library's own checks raise many kinds
        raise UserError(f"backbone_config: not a {family} configuration ({excerpt(error)}): {_RESTORE}") from error


def checked_sizes(kind: type[Sizes], values: Mapping[str, Any], where: str = "backbone_config",
                  remedy: str = _RESTORE) -> Sizes:
    """The sizes of a plain network, a pydantic dataclass: as kept with a model, or of a checkpoint.

    Raises UserError, in one line that names the value, for what it cannot have.
    """
    check_numbers(values, where, remedy)
    try:
        return kind(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"{where}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}: {remedy}") from error


def random_network(config: "PreTrainedConfig", **build: Any) -> Any:
    """The network of a configuration with random weights; `build` goes to its class."""
    from transformers import AutoModel
    return AutoModel.from_config(config, attn_implementation="eager", **build)


def check_numbers(values: Any, where: str, remedy: str) -> None:
    """Raises UserError where a configuration holds a number beyond LARGEST, or more layers than any network has."""
    if not isinstance(values, Mapping):
        raise UserError(f"{where}: is no configuration of a network: {remedy}")
    layers = _LAYERS + (("num_conv_pos_embeddings",) if values.get("model_type") == "data2vec-audio" else ())
    for key, value in values.items():
        if beyond := [number for number in _numbers(value) if not -LARGEST <= number <= LARGEST]:
            raise UserError(f"{where}: {key} is {beyond[0]:g}: at most {LARGEST:,}: {remedy}")
        number = len(value) if isinstance(value, list | tuple) else value
        if key in layers and isinstance(number, int | float) and number > _MOST_LAYERS:
            raise UserError(f"{where}: {key} makes {number:g} layers: at most {_MOST_LAYERS}: {remedy}")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _numbers(inner)


def check_network(config: Any, where: str, values: float, make: Callable[[], nn.Module]) -> None:
    """Raises UserError where a configuration gives no network, or one beyond MOST_PARAMETERS or MOST_VALUES.

    `make` makes the network, here without memory. values: that its widest layer gives for one window.
    """
    if values > MOST_VALUES:
        raise UserError(f"{where}: one of its layers has {values:,.0f} values for one window: at most {MOST_VALUES:,}: "
                        "shorten the window, or choose a smaller network")
    if config.num_attention_heads < 1:
        raise UserError(f"{where}: num_attention_heads is {config.num_attention_heads}: at least 1")
    if torch.get_default_device().type == "meta":
        return      # the whole model is being built without memory, and its parameters are counted there
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):   # some layers draw even so
            network = make()
    except Exception as error:  # a library's own checks raise many kinds
        raise UserError(f"{where}: not a {config.model_type} configuration ({excerpt(error)}): restore the folder, "
                        "or get the checkpoint again") from error
    number = sum(parameter.numel() for parameter in network.parameters())
    if number > MOST_PARAMETERS:
        raise UserError(f"{where}: its network has {number:,} parameters: at most {MOST_PARAMETERS:,}: choose a "
                        "smaller one")


def digest(folder: Path) -> str:
    """The revision of a checkpoint in a folder: SHA-256 over names and bytes of its .json and .safetensors files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors") and path.is_file())
    return hashlib.sha256("".join(f"{sha256(path)}  {path.name}\n" for path in files).encode()).hexdigest()


def origin(name: str, revision: str | None, section: str) -> Origin:
    """Where the checkpoint of that revision, and no other, is loaded from.

    name: a folder, or a name on the hub; revision: what `digest` gives of the folder, or a commit of the hub; section:
    of the preset that names both, for messages. The hub is asked once, for ten seconds at most.
    Raises UserError for a folder of other files, and for what is no commit of the hub; it says what to write.
    """
    if not Path(name).is_dir():
        return _hub_origin(name, revision, section)
    if (present := digest(Path(name))) != revision:
        other = f"its files are not those of revision {revision}" if revision else "no revision of it is named"
        raise UserError(f"{name}: {other}: set {section}.revision in {SETTINGS_FILES} to {present} to train with "
                        "what is there now, or restore the folder")
    return Origin({"local_files_only": True})


def _hub_origin(name: str, revision: str | None, section: str) -> Origin:
    commit, has_safetensors, absent = _ask_hub(name, revision)
    if revision and _COMMIT.fullmatch(revision):
        if commit and not has_safetensors:
            raise UserError(f"{name}: its commit {revision} holds no safetensors: name that of a pull request which "
                            f"adds them (https://huggingface.co/{name}/discussions), or convert it elsewhere with "
                            f"save_pretrained and set {section}.checkpoint to that folder")
        return Origin({"revision": revision, "local_files_only": bool(absent)}, absent)
    if not (commit := commit or _cached_commit(name, revision)):
        return Origin({"revision": revision or "main", "local_files_only": True}, absent)   # which is not there
    named = f"{revision} is a name that may change" if revision else "no revision of it is named"
    raise UserError(f"{name}: {named}: set {section}.revision in {SETTINGS_FILES} to {commit}, its current "
                    "commit")


def _cached_commit(name: str, revision: str | None) -> str:
    """The commit for which a revision stands in this machine's cache, or ""."""
    from huggingface_hub import errors, try_to_load_from_cache
    try:
        file = try_to_load_from_cache(name, "config.json", revision=revision)
    except errors.HFValidationError:
        return ""
    return Path(file).parent.name if isinstance(file, str) else ""


def _ask_hub(name: str, revision: str | None) -> tuple[str, bool, str]:
    """What the hub says of a revision: its commit, whether that holds safetensors, or why neither is known."""
    from huggingface_hub import HfApi, errors
    try:
        info = HfApi().model_info(name, revision=revision, timeout=10)
    except errors.RevisionNotFoundError:
        return "", False, f"the hub has no revision {revision} of it"
    except errors.RepositoryNotFoundError:
        return "", False, "the hub has no such checkpoint that you may read"
    except errors.HFValidationError:
        return "", False, "that is no hub name"
    except Exception:  # no network, no answer, told to stay offline
        return "", False, "no hub is in reach"
    return info.sha or "", any(file.rfilename.endswith(".safetensors") for file in info.siblings or ()), ""
