"""Where everything of an installation lies below its state directory."""

from dataclasses import dataclass
from pathlib import Path

from bilocate.cli.errors import NotFound
from bilocate.cli.processes import Daemon

CONTROLLER = "controller"


@dataclass(frozen=True)
class Layout:
    """The paths below one state directory; nothing here touches the disk but `site_names`."""

    root: Path

    @classmethod
    def of(cls, state_dir: Path) -> "Layout":
        """The layout of a state directory, as an absolute path: daemons run elsewhere."""
        return cls(state_dir.expanduser().resolve())

    @property
    def key_file(self) -> Path:
        """The installation key that controllers and agents share (0600)."""
        return self.root / "key"

    @property
    def openrc(self) -> Path:
        """The first admin's credentials (0600), written by the controller."""
        return self.root / "openrc"

    @property
    def lock_file(self) -> Path:
        """Held while processes are started or stopped, so that two commands don't both start them."""
        return self.root / "lock"

    def config(self, name: str) -> Path:
        """The TOML of the controller or of a site."""
        return self.root / f"{name}.toml"

    def data(self, site: str) -> Path:
        """A site's own folder: ledger, volumes, unix socket."""
        return self.root / site

    def daemon(self, name: str) -> Daemon:
        """The controller's process or a site's."""
        return Daemon(
            name=name,
            kind="controller" if name == CONTROLLER else "site",
            config=self.config(name),
            pid_file=self.root / "pids" / f"{name}.pid",
            log_file=self.root / "logs" / f"{name}.log",
        )

    def site_names(self) -> list[str]:
        """The sites that `up` has configured here, in order of their names."""
        return sorted(path.stem for path in self.root.glob("*.toml") if path.stem != CONTROLLER)

    def require(self) -> None:
        """Refuse to go on when `up` has never been run here.

        :raises NotFound: with what to do.
        """
        if not self.config(CONTROLLER).exists():
            raise NotFound(
                f"{self.root} holds no installation: `bilocate up --state-dir {self.root}` makes one."
            )

    def require_site(self, name: str) -> None:
        """Refuse a site that is not configured here.

        :raises NotFound: naming the sites there are.
        """
        self.require()
        if name not in self.site_names():
            raise NotFound(
                f"There is no site {name!r} in {self.root}; there is {', '.join(self.site_names())}."
            )
