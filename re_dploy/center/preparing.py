"""Prepare: what a version is made of is there, and its zones answer, before anything is built. Must not know orders."""

from __future__ import annotations

from re_core.apps import events as e
from re_core.apps.values import Kind, Status
from re_core.errors import CallerError, OperatorError, TransientError
from re_dploy.center.looking import Looking, Subject, is_over
from re_workers.outcomes import Failed


class Preparing(Looking):
    """See the module."""

    _announced = False
    _checked = False

    def look(self) -> bool:
        """See Looking."""
        subject = self.subject()
        if subject.version.status is not Status.PENDING:
            if is_over(subject.version):
                raise Failed(f"v{subject.version.number} failed: {subject.version.why}")
            return True
        self._announce(subject)
        self._check(subject)
        if not self._zones_answer(subject):
            return False
        said = self.say(e.Prepared(subject.version.number, self.talk.deployment))
        if not said.accepted:
            raise Failed(said.detail or said.reason)
        return True

    def _announce(self, subject: Subject) -> None:
        if self._announced:
            return
        self._announced = True
        state, version = subject
        of = f" from {version.commit[:7]}" if version.commit else ""
        what = {
            Kind.BUILD: f"Building {state.name} v{version.number}{of}",
            Kind.CONFIG: f"Releasing {state.name} v{version.number} with another config",
            Kind.ROLLBACK: f"Releasing {state.name} v{version.number} as v{version.of} was",
        }[version.kind]
        self.status(f"{what} (deployment {self.talk.deployment})")
        if version.kind is Kind.ROLLBACK:
            self.line("its files are those that were built then: no archive is read")

    def _check(self, subject: Subject) -> None:
        """Raises Failed where what it is made of is not there. From then on a known payload is not pruned."""
        if self._checked:
            return
        try:
            self.tools.check(subject.state, subject.version.number, self.talk.deployment)
        except TransientError:
            raise
        except (CallerError, OperatorError) as error:
            raise Failed(str(error)) from None
        self._checked = True

    def _zones_answer(self, subject: Subject) -> bool:
        """Each is asked at every look, so that all of them answer at the end."""
        if not subject.version.zones:
            raise Failed(f"{subject.state.name} has no zone: rectl apps zones {subject.state.name} --set NAME")
        answers = [self.seen(self.zone(name), subject.state.name) for name in subject.version.zones]
        return all(seen is not None for seen in answers)
