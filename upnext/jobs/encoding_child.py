"""The process that encodes: `python -m upnext.jobs.encoding_child PARENT`. It gives way to others.

Its stdout is for messages alone, one JSON object a line; it ends when its parent does.
"""

import logging
import signal
import sys

import structlog

from core import logging as logs
from core.errors import Conflict, Unavailable, UpnextError
from core.settings import load
from storage.embedded.privilege import die_with_parent
from upnext import disk
from upnext.jobs.child import give_way, speaker, stop
from upnext.jobs.encoding_messages import Away, Done, Failed, Telling
from upnext.jobs.watched_child import be_ended_first

NICE = 10  # a tenth of what others get: beside a busy service it must not take for ever
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
        # Here, so that the lines above are done within milliseconds of the start.
        from upnext.jobs.encode_new import encode_new_videos  # noqa: PLC0415

        done = encode_new_videos(settings, lambda progress: say(Telling(progress)))
        say(Done(done.encoded, done.added))
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


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    sys.exit(main())
