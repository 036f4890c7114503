"""How the jobs fare: what each did last, for the platform's eyes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from saas.tenants.scope import PlatformScope

_BEATS = "jobs"
_KEPT = 7 * 86400  # seconds


@dataclass(frozen=True, slots=True)
class Beat:
    """A job's last run. Moments in seconds since 1970, UTC; `error` "" when it went well."""

    job: str
    holder: str  # the process that leads: "host:pid"
    at: float
    took: float  # seconds
    done: int  # what it got done: events, sessions …
    error: str


async def beat(ps: PlatformScope, beat: Beat) -> None:
    """Tell how a job's run went. Unavailable."""
    await ps.kv.hset(_BEATS, {beat.job: asdict(beat)}, _KEPT)


async def beats(ps: PlatformScope) -> list[Beat]:
    """The last run of every job, by name."""
    found = [Beat(**values) for values in (await ps.kv.hgetall(_BEATS)).values()]
    return sorted(found, key=lambda beat: beat.job)
