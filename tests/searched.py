"""Small worlds with chance, in which a search shows what it knows."""

from powerseek.envs.engine.chance import flip
from powerseek.envs.world import Fact, Param, World


class Guess(World):
    """Say how a coin falls before it does, three times."""

    id = "test.guess"
    parameters = {"max_steps": Param(3, 3, 3)}
    state = (("right", "i8"), ("steps", "i8"))
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def actions(params):
        return ("heads", "tails")

    @staticmethod
    def observation(params):
        return ("right",)

    @staticmethod
    def initial(p, s, c):
        s.right = 0

    @staticmethod
    def transition(p, s, a, c):
        if flip(c, 0.5) == (a == 0):
            s.right += 1
        s.steps += 1

    @staticmethod
    def legal(p, s, out):
        out[:] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = s.right

    @staticmethod
    def measure(p, s, out):
        out[0] = s.right / 3
        out[1] = 1.0 if s.right == 3 else 0.0
        out[2] = 1.0 if s.steps == 3 else 0.0


class Ford(World):
    """Cross in eight steps: wade surely and slowly, or leap and be swept back a step."""

    id = "test.ford"
    parameters = {"wade": Param(0.6, 0.0, 1.0), "leap": Param(0.5, 0.0, 1.0), "max_steps": Param(8)}
    state = (("at", "i8"),)
    facts = (Fact("progress"), Fact("success"), Fact("over"))

    @staticmethod
    def actions(params):
        return ("back", "wade", "leap")

    @staticmethod
    def observation(params):
        return ("at",)

    @staticmethod
    def initial(p, s, c):
        s.at = 1

    @staticmethod
    def transition(p, s, a, c):
        if a == 0:
            s.at -= 1
        elif a == 1:
            s.at += 1 if flip(c, p.wade) else 0
        else:
            s.at += 2 if flip(c, p.leap) else -1

    @staticmethod
    def legal(p, s, out):
        out[:] = True

    @staticmethod
    def observe(p, s, out):
        out[0] = s.at / 6

    @staticmethod
    def measure(p, s, out):
        out[0] = max(0, min(s.at, 6)) / 6
        out[1] = 1.0 if s.at >= 6 else 0.0
        out[2] = 1.0 if s.at >= 6 or s.at <= 0 else 0.0
