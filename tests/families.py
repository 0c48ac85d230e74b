"""Settings of the library's algorithms with which an update takes no time."""

from powerseek.agents.sb3.families import FAMILIES
from powerseek.agents.settings import SEARCH

TINY = {
    **{"n_envs": 4, "n_steps": 30, "batch_size": 60, "n_epochs": 1, "net": [8]},
    **{"n_critic_updates": 1, "cg_max_steps": 3, "lstm_hidden_size": 4},
    # A buffer of two batches of 120 steps: it is full, and written anew, in the third.
    **{"train_freq": 30, "gradient_steps": 2, "buffer_size": 240, "learning_starts": 60},
    # Copies to the target network are rarer than updates, and exploration never ends.
    **{"target_update_interval": 180, "exploration_fraction": 1.0},
    **{"n_step": 3, "n_quantiles": 5, "simulations": 4, "considered": 2},
}


def small_settings(agent, **changed):
    """Those of TINY, or `changed`, that an agent has: 120 steps an update, as many gradients."""
    family = FAMILIES.get(agent, FAMILIES["maskable-ppo"])
    known = SEARCH if agent == "search" else family.defaults
    return {name: v for name, v in {**TINY, **changed}.items() if name in known}
