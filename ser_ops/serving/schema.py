"""What OpenAPI says of the model and of a prediction: its bodies, its answer, its refusals."""

from typing import Any

from pydantic import BaseModel, Field


class WindowResult(BaseModel):
    """The answer to one window; start and end in seconds."""

    start: float
    end: float
    emotion: str
    probabilities: dict[str, float]


class SpeechSegment(BaseModel):
    """A stretch in which somebody speaks, in seconds."""

    start: float
    end: float


class Result(BaseModel):
    """One recording: its answer, or the one line that says why it has none."""

    name: str
    record: str | None = Field(None, description="id by which to correct it, where records are kept")
    error: str | None = None
    emotion: str | None = Field(None, description="one of the seven, 'no speech' or 'not sure'")
    emotions: list[str] | None = Field(None, description="with a coverage: the set that holds the truth so often")
    speech: list[SpeechSegment] | None = Field(None, description="of a model that detects speech")
    probabilities: dict[str, float] | None = None
    seconds: float | None = None
    windows: list[WindowResult] | None = None
    warnings: list[str] | None = Field(None, description="to be read before relying on the answer")
    caveats: list[str] | None = Field(None, description="what the model's card says of every answer")


class ModelName(BaseModel):
    """Which model answered."""

    uri: str
    version: str | None
    fingerprint: str


class Prediction(BaseModel):
    """The answers to the recordings of a request, in their order."""

    request_id: str
    model: ModelName
    results: list[Result]


class Gate(BaseModel):
    """The verdict of the project's gate, and who asked for it; null where nobody recorded it."""

    verdict: str
    for_: str | None = Field(alias="for", description="staging or production")
    at: str | None
    by: str | None
    override_reason: str | None
    rules: list[dict[str, Any]]


class Model(ModelName):
    """All that a user should know of the model that answers."""

    card: dict[str, Any] = Field(description="its model.json")
    text: str = Field(description="its card in Markdown, '' where it was never registered")
    caveats: list[str]
    window_seconds: float
    hop_seconds: float = Field(description="from window to window")
    coverage: float | None = Field(description="share of cases whose set holds the truth; null: always sure")
    licences: dict[str, str] = Field(description="of the data that taught it")
    gate: Gate
    intended_uses: list[str]
    forbidden_uses: list[str]
    duties: list[str]


class Error(BaseModel):
    """Why a request was refused."""

    error: str
    request_id: str


_SAMPLES = {"type": "object", "required": ["samples", "sample_rate"], "properties": {
    "samples": {"type": "array", "items": {"type": "number"}, "description": "mono, in about [-1, 1]"},
    "sample_rate": {"type": "integer", "description": "hertz"}, "name": {"type": "string"}}}
_RECORDING = {"type": "string", "format": "binary"}
_REFUSALS = {401: "no token, or a wrong one", 413: "too large, or too many recordings", 415: "no type of a recording",
             429: "too many requests; Retry-After says when", 504: "took too long",
             507: "no room on the service's disk"}
# What `FastAPI.get` and `FastAPI.post` take beside a path.
MODEL: dict[str, Any] = {"responses": {200: {"model": Model}, 401: {"model": Error, "description": _REFUSALS[401]}}}
PREDICT: dict[str, Any] = {
    "openapi_extra": {"requestBody": {"required": True, "content": {
        "multipart/form-data": {"schema": {"type": "object", "properties": {
            "files": {"type": "array", "items": _RECORDING}}}},
        "application/json": {"schema": {"oneOf": [_SAMPLES, {"type": "object", "properties": {
            "recordings": {"type": "array", "items": _SAMPLES}}}]}},
        "audio/*": {"schema": _RECORDING}}}},
    "responses": {200: {"model": Prediction},
                  422: {"model": Prediction | Error, "description": "no recording was answered"},
                  **{status: {"model": Error, "description": words} for status, words in _REFUSALS.items()}}}
