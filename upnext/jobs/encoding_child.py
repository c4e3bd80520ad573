"""The process that encodes: `python -m upnext.jobs.encoding_child PARENT`. It gives way to others.

Its stdout is for messages alone, one JSON object a line; it ends when its parent does.
"""

import sys
import time
from collections.abc import Callable

from core.errors import Conflict, Unavailable, UpnextError
from core.settings import Settings
from core.types import Progress
from upnext.jobs.child import begin, give_way_altogether, going_on, speaker, unforeseen
from upnext.jobs.encoding_messages import Away, Done, Failed, Said, Telling

NICE = 5  # a quarter of a busy core: what is short must not take for minutes
SHORT_SECONDS = 30.0  # of processor time, most of which torch takes to begin


def main() -> int:
    """Encode what is new. Returns the exit code."""
    settings = begin(int(sys.argv[1]), NICE)
    say = speaker()
    try:
        with going_on("encoding"):
            say(_encoded(settings, say))
    except Conflict as error:
        say(Away("publishing", str(error)))
    except Unavailable as error:
        say(Away(error.dependency, str(error)))
    except UpnextError as error:
        say(Failed(str(error)))
    except Exception as error:  # noqa: BLE001  (whatever it is, it must be told)
        say(Failed(unforeseen(error, "encoding")))
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
    sys.exit(main())
