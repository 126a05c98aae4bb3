"""The connection to a Dask scheduler, whose workers share the work of a command. What a cluster is trusted with is said
in docs/security.md."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from host.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Tls", "connected"]

_TIMEOUT = 10  # seconds to wait for a scheduler, also for one that has gone
_JOINING = 60  # seconds to wait for its first worker


@dataclass(frozen=True)
class Tls:
    """Files for TLS between this process and a Dask cluster, as PEM: the certificate of the authority that both trust,
    and this process's own certificate and key. All are given, or none."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def given(self, scheduler: str) -> bool:
        """Whether there are files.

        Raises
        ------
        UserError
            When one is missing or cannot be read, or the scheduler's address is not for TLS.
        """
        files = {"--tls-ca-file": self.ca, "--tls-cert": self.cert, "--tls-key": self.key}
        absent = [option for option, path in files.items() if path is None]
        if len(absent) == len(files):
            return False
        if absent:
            raise UserError(f"TLS needs all of {', '.join(files)}: give {' and '.join(absent)} too")
        for option, path in files.items():
            try:
                path and path.read_bytes()
            except OSError as error:
                raise UserError(f"cannot read {path} of {option} ({error.strerror}): name a file in PEM format"
                                ) from None
        if not scheduler.startswith("tls://"):
            raise UserError(f"the scheduler {scheduler!r} is not one with TLS: give an address that begins with tls://,"
                            " or leave the --tls options out")
        return True


@contextmanager
def connected(scheduler: str, tls: Tls) -> "Iterator[Client]":
    """Connect to the Dask scheduler at this address.

    Without TLS a warning on stderr says what that means.

    Raises
    ------
    UserError
        When Dask is not installed, the files for TLS are unusable, the scheduler does not answer, or it
        has no worker.
    """
    try:
        from distributed import Client, Security
    except ImportError:
        raise UserError("a scheduler needs Dask: run `pip install '.[cluster]'` in a checkout of seedlm-fpga") from None
    # What Dask would say of a lost connection is said by an exception.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    secured = tls.given(scheduler)
    if not secured:
        print(f"warning: the connection to {scheduler} is neither encrypted nor authenticated: whoever reaches the "
              "scheduler's or a worker's port can run programs there; use a network that you trust alone, or TLS "
              "(--tls-ca-file, --tls-cert, --tls-key; see docs/security.md)", file=sys.stderr, flush=True)
    security = Security(tls_ca_file=str(tls.ca), tls_client_cert=str(tls.cert), tls_client_key=str(tls.key),
                        require_encryption=True) if secured else None
    try:
        client = Client(scheduler, timeout=_TIMEOUT, security=security)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot reach the Dask scheduler {scheduler} ({type(error).__name__}): start dask scheduler "
                        "and dask worker, and give the address that it prints"
                        + (", with TLS files of the same authority" if secured else "")) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_JOINING)
        except TimeoutError:
            raise UserError(f"no worker has joined the scheduler {scheduler} for {_JOINING} seconds: start dask worker "
                            "with this address") from None
        yield client
