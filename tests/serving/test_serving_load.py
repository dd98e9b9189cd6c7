"""The load of the benchmark counts each answer once, and each fault as one."""

import asyncio

from serving_process import sound, wav

from benchmarks.serving.load import Target, closed, http, opened

ANSWERED = http("/v1/predict", wav(sound(0.5)), "audio/wav")


def port(server):
    return int(server.address.rpartition(":")[2])


def test_every_answer_is_counted_and_takes_time(server):
    target = Target(port(server), [ANSWERED], lambda answer: "emotion" in answer["results"][0])
    measured = asyncio.run(closed(target, 2, requests=6))
    assert len(measured.latencies) == 6 and not measured.errors and 0 < measured.quantile(0.5) <= measured.quantile(1)
    measured = asyncio.run(opened(target, 5.0, 1.0, seed=1))
    assert len(measured.latencies) + len(measured.errors) == 5 and measured.seconds > 0


def test_what_is_refused_or_wrong_or_not_there_is_a_fault(server):
    refused = [http("/v1/predict", b"", "audio/wav"), ANSWERED]
    measured = asyncio.run(closed(Target(port(server), refused, lambda answer: True), 1, requests=2))
    assert len(measured.latencies) == 1 and measured.errors[0].startswith("422")
    wrong = asyncio.run(closed(Target(port(server), [ANSWERED], lambda answer: False), 1, requests=1))
    nobody = asyncio.run(closed(Target(1, [ANSWERED], lambda answer: True), 1, requests=1))
    assert not wrong.latencies and wrong.errors[0].startswith("200") and "Refused" in nobody.errors[0]
