"""CREMA-D: AudioWAV/1001_DFA_ANG_XX (Cao et al. 2014); gender comes from VideoDemographics.csv."""

import re
from pathlib import PurePosixPath

from ser_ops.corpora.layout import Layout, Oddity, ParsedName, Skip

_EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
_SENTENCES = {"DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI"}
_NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|XX?)")


def parse(path: PurePosixPath) -> ParsedName | Skip:
    """What a CREMA-D name says; an intensity cut to X, as an early copy has it, is XX.

    >>> parse(PurePosixPath("AudioWAV/1001_DFA_ANG_XX.wav"))
    ParsedName(name='1001_DFA_ANG_XX', home='AudioWAV', emotion='angry', speaker='1001', gender='', \
intensity='unspecified', text='DFA')
    """
    name = _NAME.fullmatch(path.stem.upper())
    if name is None or name[2] not in _SENTENCES or name[3] not in _EMOTIONS or not 1001 <= int(name[1]) <= 1091:
        return Skip("name is not NNNN_SSS_EEE_LL of CREMA-D", known=False)
    speaker, sentence, emotion, intensity = name.groups()
    whole = f"{speaker}_{sentence}_{emotion}_{'XX' if intensity == 'X' else intensity}"
    return ParsedName(whole, "AudioWAV", _EMOTIONS[emotion], speaker, "", _INTENSITIES[intensity], sentence)


def _pair(*names: str) -> Oddity:
    return Oddity(names, "published as identical audio with different labels, neither is used", keep_out=names)


CREMA_D = Layout(
    name="crema_d",
    title="CREMA-D",
    licence="ODbL 1.0",
    source="https://github.com/CheyneyComputerScience/CREMA-D",
    example="AudioWAV/1001_DFA_ANG_XX.wav",
    speakers=91,
    counts={"angry": 1271, "disgust": 1271, "fear": 1271, "happy": 1271, "neutral": 1087, "sad": 1271},
    parse=parse,
    oddities=(
        _pair("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
        _pair("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
        _pair("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
        Oddity(("1076_MTI_SAD_XX",), "published without any speech in it, not used", keep_out=("1076_MTI_SAD_XX",)),
    ),
)
