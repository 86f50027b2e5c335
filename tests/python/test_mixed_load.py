"""Trainers of all kinds at once, for a moment; `make soak` does it for long."""

from __future__ import annotations

import re
import time
from collections import Counter

from local_server import LocalServer, server_binary
from mixed_load import Case, Load
from soak import Watch

BUDGET = 200 * 2**20


def test_every_call_ends_as_it_should() -> None:
    cases = Case.all([16] * 8 + [32] * 4 + [64])
    flags = ("--http_listen=127.0.0.1:0", f"--memory_budget={BUDGET}")
    with LocalServer(server_binary(), *flags) as server:
        with Load(server.address, 8, cases) as load, Watch(server) as watch:
            time.sleep(15)
        assert server.running()
        lines = server.log.read_text().splitlines()
    assert not [line for line in lines if " error " in line]
    # Libraries write none of their own, whatever clients send.
    assert not [line for line in lines if not re.match(r"\d{4}-\d\d-\d\dT", line)]
    ended = sum((report.ended for report in load.reports), Counter[str]())
    assert set(ended) == {"right", "refused", "cancelled", "killed"}
    assert 0 < watch.reserved <= BUDGET
