"""The checks after each fault, as all kinds of faults need them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.campaign.cases import GENERATE, Prepared
from tests.campaign.laws import Tally, l1_broken, l2_broken, l2_broken_after_recovery, l3_broken, state_of
from tests.campaign.server import Run, Server


@dataclass(frozen=True)
class Check:
    """Holds one folder to the laws. kind: of the fault, for the tally; server: one without faults, for the reruns."""

    prepared: Prepared
    cwd: Path
    kind: str
    tally: Tally
    server: Server

    def right_after(self, fault: str) -> None:
        """What was there is there, and nothing is half."""
        self._blame("L1", fault, *l1_broken(self.cwd))
        self._blame("L2", fault, *l2_broken(state_of(self.cwd), self.prepared.old, self.prepared.new))

    def sentence(self, fault: str, run: Run) -> None:
        """A command that was not killed ended in time, and said what was wrong."""
        complaint = run.complaint()
        if complaint is not None and not (run.status == 1 and self._is_script()):
            self._blame("L6", fault, complaint)
        elif run.hung:
            self._blame("L6", fault, "hangs")

    def after_another_command(self, fault: str) -> None:
        """Any next command repairs what there is to repair; this one keeps what it finds."""
        if not self.prepared.case.before:
            return
        run = self.server.run(self.cwd, GENERATE)
        self.sentence(f"{fault}, then `generate`", run)
        now, case = state_of(self.cwd), self.prepared.case
        self._blame("L1", fault, *l1_broken(self.cwd))
        broken = l2_broken_after_recovery(now, self.prepared.old, self.prepared.new, case.replaces)
        self._blame("L2", f"{fault}, then `generate`", *broken)

    def after_success(self, fault: str) -> None:
        """Exit status 0 is a promise."""
        if state_of(self.cwd) != self.prepared.new:
            self._blame("L3", fault, "exits with 0, but the data are not those of an undisturbed run")

    def after_rerun(self, fault: str) -> None:
        """The same command again ends the job."""
        run = self.server.run(self.cwd, self.prepared.case.command)
        if run.status != 0 or run.hung:
            self._blame("L3", fault, f"the same command again fails: {run.stderr[-300:] or run}")
            return
        if self._is_script() and run.stdout != self.prepared.output:
            self._blame("L3", fault, "the same command again gives something else")
        self._blame("L1", fault, *l1_broken(self.cwd))
        self._blame("L3", fault, *l3_broken(self.cwd, state_of(self.cwd), self.prepared.new))

    def _is_script(self) -> bool:
        """A script of a user's own says tracebacks, as scripts do."""
        return self.prepared.case.command[0] == "python"

    def _blame(self, law: str, fault: str, *details: str) -> None:
        for detail in details:
            self.tally.blame(law, self.kind, self.prepared.case.name, f"{fault}: {detail}")
