"""The manifest's tables: what is written is read again, to the byte, and a table that is none is said in one line."""

from dataclasses import fields
from math import inf

import pytest

from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow, UtteranceRow, VariantRow, columns, read_rows, stream_rows, write_rows

READ = UtteranceRow("a/1", "a", "savee", True, "a/1.wav", "sad", "a/s", seconds=1e-06, peak_dbfs=-inf, native_rate=8000,
                    warnings='one, "two"; three')
REFUSED = UtteranceRow("a/2", error="empty\nfile")


def test_rows_come_back_and_are_written_the_same_again(tmp_path):
    path = tmp_path / "manifest.csv"
    write_rows(path, [READ, REFUSED], UtteranceRow)
    assert read_rows(path, UtteranceRow) == [READ, REFUSED]
    written = path.read_bytes()
    assert b"a/1,a,savee,1,a/1.wav,sad,a/s,,,,,,,8000,,1e-06,-inf," in written and b"a/2,,,0," in written
    write_rows(path, stream_rows(path, UtteranceRow), UtteranceRow)
    assert path.read_bytes() == written


@pytest.mark.parametrize(("kind", "header"), [
    (UtteranceRow,
     "utterance,corpus,layout,synthetic,path,emotion,speaker,gender,language,intensity,text,sha256,content,"
     "native_rate,channels,seconds,peak_dbfs,rms_dbfs,clipped_share,silent_share,warnings,sound,error,partition"),
    (NoiseRow,
     "recording,collection,category,synthetic,path,source,sha256,content,native_rate,seconds,peak_dbfs,rms_dbfs,"
     "warnings,sound,error,partition"),
    (VariantRow, "row,utterance,variant,partition,emotion,speaker,corpus,synthetic,content,seconds,noise_recording,"
     "noise_category,intensity,snr_db,transmission")])
def test_columns_are_those_of_every_table_that_was_ever_written(tmp_path, kind, header):
    write_rows(tmp_path / "table.csv", [], kind)
    assert (tmp_path / "table.csv").read_text() == header + "\n" and len(columns(kind)) == len(fields(kind))


@pytest.mark.parametrize(("old", "new", "fault"), [
    (",partition", "", "has no column partition: run the stage that writes it again"),
    ("recording,collection", "collection,recording", "its columns are not recording, collection"),
    (",2.5,", ",long,", "row 'made/1': seconds is 'long', which is no number"),
    ("made/1,,,0,", "made/1,,,yes,", "row 'made/1': synthetic is 'yes'")])
def test_another_table_is_refused(tmp_path, old, new, fault):
    path = tmp_path / "noise.csv"
    write_rows(path, [NoiseRow("made/1", seconds=2.5)], NoiseRow)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=fault):
        read_rows(path, NoiseRow)
