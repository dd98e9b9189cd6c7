"""Which utterances a corpus holds, under the file names of the corpus whose layout it borrows."""

from collections.abc import Iterator

from corpus_settings import Settings
from delivery import Utterance

RAVDESS_EMOTIONS = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fear",
                    "07": "disgust", "08": "surprise"}
RAVDESS_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
CREMA_D_EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
CREMA_D_SENTENCES = {"IEO": "It's eleven o'clock", "DFA": "Don't forget a jacket", "TSI": "The surface is slick",
                     "WSI": "We'll stop in a couple of minutes", "ITH": "I think I have a doctor's appointment"}
CREMA_D_TAKES = (("IEO", "LO"), ("IEO", "HI"), ("DFA", "XX"), ("TSI", "XX"), ("WSI", "XX"))
CREMA_D_NEUTRAL_TAKES = (("IEO", "XX"), ("ITH", "XX"), ("DFA", "XX"), ("TSI", "XX"), ("WSI", "XX"))
CREMA_D_LEVELS = {"LO": "low", "HI": "high", "XX": "unspecified"}
# The published folder names are not consistent, nor are these.
TESS_FOLDERS = {
    "OAF": {"angry": "OAF_angry", "disgust": "OAF_disgust", "fear": "OAF_Fear", "happy": "OAF_happy",
            "neutral": "OAF_neutral", "sad": "OAF_Sad", "surprise": "OAF_Pleasant_surprise"},
    "YAF": {"angry": "YAF_angry", "disgust": "YAF_disgust", "fear": "YAF_fear", "happy": "YAF_happy",
            "neutral": "YAF_neutral", "sad": "YAF_sad", "surprise": "YAF_pleasant_surprised"},
}
TESS_WORDS = ("back", "bean", "boat", "chair", "cool", "dog", "food", "home", "juice", "king")
SAVEE_CODES = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
SAVEE_TEXTS = ("The kettle is on the stove", "My brother painted the gate", "A letter lies under the clock",
               "Seven boats came home", "The baker opens on Monday", "A cat walked over the roof")


def utterances(settings: Settings) -> list[Utterance]:
    """Every utterance of every corpus, in the order of the settings."""
    makers = {"ravdess": _ravdess, "crema_d": _crema_d, "tess": _tess, "savee": _savee}
    return [Utterance(name, path, speaker, emotion, intensity, text)
            for name, corpus in settings.corpora.items() for speaker in corpus.speakers
            for path, emotion, intensity, text in makers[corpus.layout](speaker.name)]


def demographics(settings: Settings, corpus: str) -> str:
    """VideoDemographics.csv of made-up speakers, with the columns of the real one."""
    rows = [f'{s.name},{s.age},"{s.gender.capitalize()}","None (synthetic)","None (synthetic)"'
            for s in settings.corpora[corpus].speakers]
    return "\n".join(['"ActorID","Age","Sex","Race","Ethnicity"', *rows]) + "\n"


def _ravdess(speaker: str) -> Iterator[tuple[str, str, str, str]]:
    for code, emotion in RAVDESS_EMOTIONS.items():
        for statement, text in RAVDESS_STATEMENTS.items():
            takes = (("01", "01"), ("01", "02")) if emotion == "neutral" else (("01", "01"), ("02", "01"))
            for intensity, repetition in takes:
                path = f"Actor_{speaker}/03-01-{code}-{intensity}-{statement}-{repetition}-{speaker}.flac"
                yield path, emotion, "strong" if intensity == "02" else "normal", text


def _crema_d(speaker: str) -> Iterator[tuple[str, str, str, str]]:
    for code, emotion in CREMA_D_EMOTIONS.items():
        for sentence, level in CREMA_D_NEUTRAL_TAKES if emotion == "neutral" else CREMA_D_TAKES:
            path = f"AudioWAV/{speaker}_{sentence}_{code}_{level}.flac"
            yield path, emotion, CREMA_D_LEVELS[level], CREMA_D_SENTENCES[sentence]


def _tess(speaker: str) -> Iterator[tuple[str, str, str, str]]:
    for emotion, folder in TESS_FOLDERS[speaker].items():
        code = "ps" if emotion == "surprise" else emotion
        for word in TESS_WORDS:
            yield f"{folder}/{speaker}_{word}_{code}.flac", emotion, "unspecified", f"Say the word {word}"


def _savee(speaker: str) -> Iterator[tuple[str, str, str, str]]:
    for code, emotion in SAVEE_CODES.items():
        for number in range(1, 7 if emotion == "neutral" else 5):
            yield f"{speaker}/{code}{number:02d}.flac", emotion, "unspecified", SAVEE_TEXTS[number - 1]
