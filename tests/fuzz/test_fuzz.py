"""A small share of `make fuzz`, always the same, and every packet of the corpus as it is."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from saas.tenants.scope import PlatformScope
from tests.fuzz import corpus, runs, wire, witness
from tests.fuzz.corpus import Sample
from tests.fuzz.gates import DEVICES, address, check_answer, gates
from tests.fuzz.mutate import OTHER_SECRET, Mutator, sign, sign_answer

pytestmark = pytest.mark.slow

SAMPLES = corpus.load()
SEED = 20260101
SHARES = {"auth": 4000, "acct": 4000, "replies": 8000, "values": 10_000, "texts": 8000, "ports": 20_000}
GROWTH = 300_000  # octets of Python objects; what is bounded by a number of entries still differs in their sizes


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.way != "answer"], ids=lambda s: s.name)
async def test_a_packet_of_the_corpus_does_no_harm(sample: Sample) -> None:
    async with gates() as worker:
        await runs.fed(worker, sample.way, [(sample.octets, ("198.51.100.1", 1024))])
        if not sample.name.startswith("found-"):
            assert worker.answered == 1, "every real device gets its answer"


@pytest.mark.parametrize("kind", SHARES)
async def test_mutated_packets_break_nothing(kind: str) -> None:
    await runs.RUNS[kind](SAMPLES, SEED, SHARES[kind])


async def test_mutated_requests_over_the_wire(alone: PlatformScope) -> None:
    await wire.requests(alone, SAMPLES, SEED, 4000)


async def test_mutated_answers_over_the_wire() -> None:
    await wire.answers(SAMPLES, SEED, 3000)


@pytest.mark.parametrize("way", ["auth", "acct"])
async def test_memory_does_not_grow(way: str) -> None:
    """With small caches, which are full after the first half."""
    samples = [sample for sample in SAMPLES if sample.way == way]
    mutator = Mutator(samples, SEED)
    async with gates(remembered=128) as worker:

        async def some() -> int:
            for _ in range(6):
                await worker.feed(way, [(mutator.packet(), address(mutator.dice)) for _ in range(100)])
            worker.forget()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            await some()
            before = await some()
            assert await some() - before < GROWTH
        finally:
            tracemalloc.stop()


# the judge itself


def test_the_seed_decides_everything() -> None:
    one, other, third = Mutator(SAMPLES, 1), Mutator(SAMPLES, 1), Mutator(SAMPLES, 2)
    packets = [one.packet() for _ in range(200)]
    assert packets == [other.packet() for _ in range(200)]
    assert packets != [third.packet() for _ in range(200)]


def test_the_witness_believes_every_signed_packet_of_the_corpus_under_its_secret_alone() -> None:
    for sample in SAMPLES:
        packet = witness.read(sample.octets)
        if packet is not None and sample.way == "acct" and not sample.name.startswith("found-"):
            assert witness.proven_request(packet, corpus.SECRET) and not witness.proven_request(packet, OTHER_SECRET)


def test_the_judge_objects_to_what_is_wrong() -> None:
    body = witness.packed([(1, b"alice"), (32, b"nas-corpus"), (33, b"p")])
    proven = sign(1, 7, bytes(16), body)
    states = witness.packed([(33, b"p")])

    def judged(code: int, request: bytes, attributes: bytes = states, **how: object) -> str:
        answer = sign_answer(code, request, attributes, **how)  # type: ignore[arg-type]
        return check_answer(answer, request, "198.51.100.1", DEVICES)

    assert judged(3, proven) == ""
    assert "not earned" in judged(2, proven)
    assert "nobody signed" in judged(3, proven, secret=b"wrong-secret")
    assert "nobody proved" in judged(3, sign(1, 7, bytes(16), body, b"wrong-secret"))
    assert "Message-Authenticator" in judged(3, proven, proves=False)
    assert "Proxy-State" in judged(3, proven, b"")
