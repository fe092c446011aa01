"""What switches the model versions of a running daemon, built together."""

from collections.abc import Callable, Mapping

from edge.config import Config
from edge.core.clock import Clock
from edge.models import open_store
from edge.plant import (
    ModelRequests,
    ModelsService,
    ProbationWatch,
    Shadow,
    SwitchWindow,
)
from edge.storage import HistoryReader


class ModelParts:
    """The commands, the shadow, the probation, the window and the requests."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Clock,
        history: HistoryReader,
        *,
        take_over: Callable[[], None],
        running: Callable[[], str | None],
        note: Callable[[str, str, str, str], None],
        has_backlog: Callable[[], bool],
        idle_s: Callable[[], float],
        announce: Callable[[str, bytes], None],
    ) -> None:
        """
        config       in force
        take_over, running, note  as in `ModelsService`
        has_backlog  whether pictures wait for an inspection worker
        idle_s       seconds since the last verdict
        announce     publishes a retained body on the topic of that name
        """
        open_store(config()).clean()
        self.shadow = Shadow(config, clock, has_backlog)
        self.probation = ProbationWatch(config, history)
        window = SwitchWindow(lambda: config().models.window, idle_s, clock.now, clock.tick)
        self.service = ModelsService(
            config,
            take_over=take_over,
            running=running,
            note=note,
            shadow=self.shadow,
            window=window,
        )
        self.requests = ModelRequests(
            self.service, window, lambda body: announce("models", body), clock.now
        )

    def threads(self) -> Mapping[str, Callable[[], None]]:
        """What runs in a thread of its own, by the thread's name."""
        return {
            "shadow": self.shadow.run,
            "probation": lambda: self.probation.run(self.service.send_back),
            "models": self.requests.run,
        }

    def look_again(self) -> None:
        """Other versions may judge, as after each reload. Returns at once."""
        self.probation.look_again()
        self.requests.look_again()

    def close(self) -> None:
        """Ends the threads."""
        self.requests.close()
        self.probation.close()
        self.shadow.close()
