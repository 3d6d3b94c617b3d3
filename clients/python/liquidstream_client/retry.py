"""When to try again, and how long to wait before: exponential backoff with full jitter, bounded twice.

The jitter keeps a thousand clients from coming back in the same millisecond after a restart.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long one call, or one broken connection, is tried again."""

    max_attempts: int = 10
    """Tries in all, the first included. 1 never repeats anything."""
    first_delay_s: float = 0.1
    """Longest wait before the second try; it doubles with each further one."""
    max_delay_s: float = 5.0
    give_up_after_s: float = 60.0
    """No further try starts later than this after the first one."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.first_delay_s < 0 or self.max_delay_s < 0 or self.give_up_after_s < 0:
            raise ValueError("`RetryPolicy` needs `max_attempts` of at least 1 and delays that are not negative.")

    def start(self) -> Backoff:
        """A fresh count, for one call."""
        return Backoff(self)


@dataclass(slots=True)
class Backoff:
    """The tries of one call."""

    policy: RetryPolicy
    attempt: int = 1
    started: float = field(default_factory=time.monotonic)

    def next_delay(self, retry_after_s: float | None = None) -> float | None:
        """Seconds to wait before the next try, never less than the server asked for; `None` to give up."""
        policy = self.policy
        if self.attempt >= policy.max_attempts:
            return None
        ceiling = min(policy.max_delay_s, policy.first_delay_s * 2.0 ** min(self.attempt - 1, 32))
        delay = max(random.uniform(ceiling / 2, ceiling), retry_after_s or 0.0)
        if time.monotonic() - self.started + delay > policy.give_up_after_s:
            return None
        self.attempt += 1
        return delay


__all__ = ["Backoff", "RetryPolicy"]
