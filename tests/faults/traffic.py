"""Traffic: every plan sent at once, each record again until it is acknowledged, whatever happens to the servers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import httpx
from safetensors.numpy import load

from liquid_core.engine.records import Label, Observation, Sample
from tests.faults.plans import Plan

_JSON = {"content-type": "application/json"}
#: Longest that one record may take to be acknowledged, faults and restarts included.
_PATIENCE_S = 90.0
_PAUSE_S = 0.05


class Traffic:
    """Sends plans, one thread a stream.

    Parameters
    ----------
    urls
        Servers of the same streams. A sender turns to the next one where its own does not answer or sends it away.
    """

    def __init__(self, urls: Sequence[str], plans: Sequence[Plan]) -> None:
        self._urls = urls
        self.plans = plans
        self._senders = [Sender(urls, plan) for plan in plans]

    def __enter__(self) -> Self:
        with Caller(self._urls) as caller:
            for plan in self.plans:
                caller.ask("PUT", f"/v1/streams/{plan.stream_id}", content=plan.spec.to_json())
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(self, *_: object) -> None:
        for sender in self._senders:
            sender.give_up.set()
            sender.join()

    @property
    def answered(self) -> int:
        """Samples that were answered so far."""
        return sum(len(plan.answers) for plan in self.plans)

    @property
    def flows(self) -> bool:
        return any(sender.is_alive() for sender in self._senders)

    def wait_for(self, answered: int) -> None:
        """Wait until so many samples were answered, or all."""
        while self.answered < answered and self.flows:
            time.sleep(0.01)

    def moments(self, seed: int, count: int) -> Iterator[int]:
        """Wait for each of `count` random moments in turn, while samples flow: numbers of answered samples.

        Counted in answers and not in seconds: however fast the server is, each moment comes in the middle.
        """
        samples = sum(plan.num_samples for plan in self.plans)
        for moment in sorted(random.Random(seed).sample(range(samples // 20, 3 * samples // 4), count)):
            self.wait_for(moment)
            yield moment

    def finish(self) -> None:
        """Wait until everything was acknowledged; raises what a sender failed on."""
        for sender in self._senders:
            sender.join()
            if sender.failure is not None:
                raise sender.failure

    def states(self) -> dict[str, Mapping[str, Any]]:
        """Every stream's arrays, as the servers have them now."""
        with Caller(self._urls) as caller:
            return {
                plan.stream_id: load(caller.ask("GET", f"/v1/streams/{plan.stream_id}/state").content)
                for plan in self.plans
            }


class Sender(threading.Thread):
    """Sends a plan's records one by one; what was not acknowledged is sent again, unchanged."""

    def __init__(self, urls: Sequence[str], plan: Plan) -> None:
        super().__init__(name=plan.stream_id)
        self._urls = urls
        self._plan = plan
        self.give_up = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with Caller(self._urls) as caller:
                for record in self._plan.records:
                    if self.give_up.is_set():
                        return
                    self._send(caller, record)
        except BaseException as error:
            self.failure = error

    def _send(self, caller: Caller, record: Observation) -> None:
        path, body = self._request(record)
        answer = caller.ask("POST", path, json=body)
        assert answer.status_code == 200, answer.text
        result = answer.json()
        self._plan.acknowledged += 1
        self._plan.repeats += result["duplicate"]
        if isinstance(record, Sample):
            self._plan.answers[record.seq] = result["predictions"]

    def _request(self, record: Observation) -> tuple[str, Any]:
        stream = f"/v1/streams/{self._plan.stream_id}"
        if isinstance(record, Label):
            return f"{stream}/labels", {"seq": record.seq, "y": self._plan.spec.classes[int(record.y[0])]}
        return f"{stream}/samples", {"seq": record.seq, "t": record.t, "x": list(record.x)}


class Caller:
    """Asks until it is answered, and stays with the server that answered last."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._at = 0
        self._http = httpx.Client(timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **body: Any) -> httpx.Response:
        """The first answer other than 503, from any of the servers."""
        deadline = time.monotonic() + _PATIENCE_S
        refused = "nobody answered"
        while time.monotonic() < deadline:
            url = self._urls[self._at % len(self._urls)]
            try:
                answer = self._http.request(method, url + path, headers=_JSON, **body)
                if answer.status_code != 503:
                    return answer
                refused = answer.text
            except httpx.TransportError as error:
                refused = repr(error)
            self._at += 1
            time.sleep(_PAUSE_S)
        raise TimeoutError(f"{method} {path} was not answered within {_PATIENCE_S:.0f} s; at last: {refused}")


__all__ = ["Traffic"]
