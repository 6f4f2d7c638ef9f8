"""Running checks: one after another, in several processes, or on a Dask cluster; each result is handed over as soon as it is there."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from joblib import Parallel, delayed, parallel_config

from executable.checks import CHECKS
from executable.digest import digest
from taxonomy.evidence import Evidence

Backend = Literal["processes", "dask"]
BACKENDS: tuple[Backend, ...] = ("processes", "dask")

# Random numbers and the number of threads are settings of the whole process: where a cluster's worker has several threads, they take turns.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class CheckedClaim:
    """A claim that names a check."""

    id: str
    check: str
    data: Mapping[str, Any]

    @property
    def ends(self) -> tuple[str, ...]:
        """The records the claim is about: subject and object of a relation, or the record whose own statement it is.

        >>> CheckedClaim("ig/satisfies/dummy", "a/b", {}).ends, CheckedClaim("dummy/statement", "a/b", {}).ends
        (('ig', 'dummy'), ('dummy',))
        """
        parts = self.id.split("/")
        return (parts[0], parts[2]) if len(parts) == 3 else (parts[0],)


@dataclass(frozen=True)
class Finished:
    """What became of one run of a check: evidence, or in words how it broke."""

    claim: CheckedClaim
    found: Evidence | str
    seconds: float


def claim_digest(claim: CheckedClaim) -> str:
    """Hash of the code a claim's check rests on and of the claim."""
    return digest((CHECKS[claim.check].run.__module__,), claim.id, claim.check, claim.data)


def run_one(claim: CheckedClaim, expected: str) -> Finished:
    """Run a claim's check here, on one thread; `expected` is the digest that the asking process found.

    A worker of a cluster may hold another version of the code. What it finds must not be filed under a digest of ours.
    """
    began = time.perf_counter()
    with _ONE_AT_A_TIME, _one_thread():
        try:
            if claim_digest(claim) != expected:
                return Finished(claim, "the worker that ran it holds other code than the process that asked", time.perf_counter() - began)
            found: Evidence | str = CHECKS[claim.check](claim.id).model_copy(update={"digest": expected})
        except Exception as error:  # a check that breaks must not keep the others from running
            found = f"the check broke: {type(error).__name__}: {error}"
    return Finished(claim, found, time.perf_counter() - began)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one order of summation, so that a second run finds the same digits
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_all(
    claims: Sequence[CheckedClaim], jobs: int = 1, backend: Backend = "processes", scheduler: str | None = None
) -> Generator[Finished, None, None]:
    """Run the checks of the claims and yield each result as it comes; the order is that of finishing.

    Parameters
    ----------
    claims
        What to run; begun in this order.
    jobs
        Processes on this machine; 1 runs everything in this process.
    backend
        `processes` of this machine, or `dask`.
    scheduler
        Address of a Dask scheduler; without one, `dask` starts a cluster of `jobs` workers on this machine.

    Raises
    ------
    ImportError
        If a Dask cluster is asked for and the package `distributed` is missing.
    OSError
        If the scheduler does not answer.
    """
    tasks = [(claim, claim_digest(claim)) for claim in claims]
    if not tasks:
        return
    if backend == "processes" and min(jobs, len(tasks)) <= 1:
        for claim, expected in tasks:
            yield run_one(claim, expected)
        return
    with _workers(min(jobs, len(tasks)), backend, scheduler):
        found = Parallel(return_as="generator_unordered", batch_size=1)(delayed(run_one)(claim, expected) for claim, expected in tasks)
        try:
            yield from found
        finally:
            found.close()


@contextlib.contextmanager
def _workers(jobs: int, backend: Backend, scheduler: str | None) -> Iterator[None]:
    if backend == "processes":
        with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield
        return
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise ImportError("the Dask backend needs the package `distributed`: pip install 'attribution-atlas[cluster]'") from error
    with contextlib.ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            address = stack.enter_context(distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=":0"))
        client = stack.enter_context(distributed.Client(address, set_as_default=False))
        stack.enter_context(parallel_config("dask", client=client))
        yield
