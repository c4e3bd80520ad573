"""How a demo video treats its subject: the title around it, the first sentence, the length."""

from typing import NamedTuple


class Angle(NamedTuple):
    """`{s}` is the subject, `{S}` the same with a capital, `{who}` the creator's name."""

    title: str
    opening: str
    minutes: tuple[int, int]


ANGLES = (
    Angle("{S} for beginners", "{who} explains {s} from the very start.", (8, 18)),
    Angle("{S}, step by step", "{who} shows {s} slowly, one step at a time.", (10, 25)),
    Angle("Ten mistakes with {s}", "{who} goes through what goes wrong with {s}.", (6, 14)),
    Angle("A week of {s}", "Seven days of nothing but {s} with {who}.", (12, 30)),
    Angle("The quiet joy of {s}", "A calm film about {s}, with hardly a word.", (15, 45)),
    Angle("{S} explained in five minutes", "{who} sums up {s} while the tea brews.", (5, 6)),
    Angle("{S} on a small budget", "{who} spends as little as possible on {s}.", (7, 16)),
    Angle("What nobody tells you about {s}", "{who} is honest about {s} after years.", (8, 20)),
    Angle("A short history of {s}", "Where {s} came from and who made it known.", (18, 50)),
    Angle("Questions and answers: {s}", "{who} answers your letters on {s}.", (25, 60)),
    Angle("{S}: the full documentary", "A long look at {s} and its people.", (40, 75)),
    Angle("My favourite tricks: {s}", "{who} shares small tricks for {s}.", (4, 9)),
    Angle("Learning {s} from a master", "{who} visits someone who lives for {s}.", (14, 35)),
    Angle("{S} in one minute", "The shortest possible look at {s}.", (1, 2)),
)
