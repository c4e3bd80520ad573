"""The process that encodes: `python -m upnext.jobs.encoding_child PARENT`. It gives way to others.

Its stdout is for messages alone, one JSON object a line; it ends when its parent does.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable

import structlog

from core import logging as logs
from core.errors import Conflict, Unavailable, UpnextError
from core.settings import Settings, load
from core.types import Progress
from storage.embedded.privilege import die_with_parent
from upnext import disk
from upnext.jobs.child import give_way, give_way_altogether, speaker, stop
from upnext.jobs.encoding_messages import Away, Done, Failed, Said, Telling
from upnext.jobs.watched_child import be_ended_first

NICE = 5  # a quarter of a busy core: what is short must not take for minutes
SHORT_SECONDS = 30.0  # of processor time, most of which torch takes to begin
log = structlog.get_logger(__name__)


def main() -> int:
    """Encode what is new. Returns the exit code."""
    die_with_parent(signal.SIGKILL, int(sys.argv[1]))
    signal.signal(signal.SIGTERM, stop)
    give_way(NICE)
    be_ended_first()
    settings = load()
    logs.configure(settings.log_level, sys.stderr)
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    say = speaker()
    try:
        say(_encoded(settings, say))
    except Conflict as error:
        say(Away("publishing", str(error)))
    except Unavailable as error:
        say(Away(error.dependency, str(error)))
    except UpnextError as error:
        say(Failed(str(error)))
    except Exception as error:
        if disk.is_full(error):
            say(Failed(disk.FULL))
        else:
            log.exception("encoding failed")
            say(Failed(f"Encoding failed for a reason it does not know: {error!r}. See the log."))
    else:
        return 0
    return 1


def _encoded(settings: Settings, say: Callable[[Said], None]) -> Done:
    # Here, so that what comes before is done within milliseconds of the start.
    from upnext.jobs.encode_new import encode_new_videos  # noqa: PLC0415

    def tell(progress: Progress) -> None:
        if time.process_time() > SHORT_SECONDS:
            give_way_altogether()
        say(Telling(progress))

    done = encode_new_videos(settings, tell)
    return Done(done.encoded, done.added)


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    sys.exit(main())
