"""The loop: `vary`, `learn`, `evaluate`, `select`, and what every algorithm shares. Knows no file and no sink.

parents --vary--> candidates --learn--> candidates --evaluate--> evaluated --select--> parents
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, TypeVar, cast, final, get_args, get_origin

import numpy as np
import torch
from numpy.typing import NDArray

from evorl.budget import Ledger
from evorl.envs import MemberEnvs, describe, make
from evorl.errors import ConfigError, Diverged, nearest, require_at_least, require_fields
from evorl.evaluation import Report, describe_evaluated, evaluate_by_episodes
from evorl.interaction import Episodes, Replay
from evorl.policies import NetworkConfig, Policy, deterministic_policy
from evorl.population import Identities, Population
from evorl.state import restore, state_of
from evorl.stopwatch import Stopwatch
from evorl.streams import Streams
from evorl.task import Arguments, Backend, Task


@dataclass(frozen=True, kw_only=True)
class Config:
    """What every algorithm needs to know; subclass it, frozen, for settings of your own."""

    env_id: str
    """A registered Gymnasium environment."""
    seed: int = 0
    """Of everything random in the run."""
    total_timesteps: int = 1_000_000
    """Environment steps of warm-up, training and fitness, over all members."""
    population_size: int = 10
    """Members."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """The members' policy."""
    actor: str = ""
    """A torch.nn.Module of your own in place of `network`: module:class, imported as by --import."""
    env_kwargs: Arguments = field(default_factory=dict)
    """Arguments of the environment."""
    delayed_reward: int = 0
    """Steps from one payment of the summed rewards to the next; 0 to pay each at once."""
    backend: Backend = "auto"
    """What steps the environments; of all that can, the fastest if `auto`. It changes no result."""
    device: str = "cpu"
    """Where parameters live and learn."""
    preset: str = "published"
    """Named settings to begin with; in Python `Algorithm.preset(name, ...)` makes them, and this is only their name."""

    def __post_init__(self) -> None:
        require_fields(self)
        require_at_least("seed", self.seed, 0)
        require_at_least("total_timesteps", self.total_timesteps, 1)
        require_at_least("population_size", self.population_size, 1)
        require_at_least("delayed_reward", self.delayed_reward, 0)
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:  # torch says both
            reason = str(error).splitlines()[0]
            raise ConfigError(f"device must be one that torch can use, got {self.device!r}: {reason}") from error
        for part in reversed(type(self).__mro__):  # whatever a config is composed of may check its own settings
            if "check" in vars(part):
                vars(part)["check"](self)


ConfigT = TypeVar("ConfigT", bound=Config)


class EvoRL(Generic[ConfigT]):
    """An algorithm of evolutionary reinforcement learning: override only the parts in which it differs.

    A part takes a population and returns one. `vary` returns `population_size` rows; `learn` and `evaluate` keep
    rows, order and ids; `select` returns at least one row. What a part needs beyond its argument it may read from
    `self` only if the attribute is named in `state`, which is exactly what a checkpoint holds. `self.population`
    is the parents until `select` has returned.

    Args:
        config: settings.
        state: what `state_dict` returned, to go on from there; None to begin.

    Attributes:
        task: sizes, bounds and time limit of the environment.
        policy: how a row of parameters acts.
        population: the parents.
        ledger: what was used so far.
        streams: all randomness.
        stopwatch: seconds of each part since it was last read.
        episodes: plays whole episodes, one environment a member.
        generation: turns of the loop so far.
        replay: where `evaluate` stores transitions; None to store none.
    """

    #: Name in folders and commands; the entry point should carry the same.
    name: ClassVar[str]
    #: The config dataclass, read off the class's base `EvoRL[ThatConfig]`.
    config_type: ClassVar[type[Config]] = Config
    #: Named settings that differ from the defaults, as config fields; `published` is the defaults themselves.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: Attributes that a generation may change.
    state: ClassVar[tuple[str, ...]] = ("identities", "population", "streams", "ledger", "generation")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            for kind in get_args(base) if isinstance(origin, type) and issubclass(origin, EvoRL) else ():
                bound = kind.__bound__ if isinstance(kind, TypeVar) else kind
                cls.config_type = bound if isinstance(bound, type) else cls.config_type
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()

    @final
    def __init__(self, config: ConfigT, state: Mapping[str, Any] | None = None) -> None:
        self._prepare(config)
        if state is None:
            self.population = self.initialise()
        else:
            self.load_state_dict(state)

    @final
    def _prepare(self, config: ConfigT) -> None:
        self.config = config
        self.stopwatch = Stopwatch()
        self.task = self.describe(config)
        self.policy = self.make_policy(config, self.task)
        self.identities = Identities()
        self.streams, self.ledger = Streams(config.seed), Ledger()
        self._envs: list[MemberEnvs] = []
        self.episodes = Episodes(self.make_envs(config.population_size), self.policy, self.ledger)
        self.generation = 0
        self.replay: Replay | None = None
        self._check_budget()
        self.build()

    @property
    @final
    def tag(self) -> str:
        """What the tags of its own scalars begin with."""
        return self.name.replace("-", "_")

    @classmethod
    @final
    def check(cls, config: ConfigT) -> None:
        """Make all that a run needs, without stepping an environment.

        Raises:
            ConfigError: the environment or a setting cannot work.
        """
        prepared = cls.__new__(cls)
        prepared._prepare(config)
        prepared.close()

    @classmethod
    def preset(cls, name: str, **settings: Any) -> ConfigT:
        """Return the settings called `name`, with `settings` on top.

        Raises:
            ConfigError: there is no such preset, or a setting cannot work.
        """
        presets: dict[str, Mapping[str, Any]] = {"published": {}, **cls.presets}
        if name not in presets:
            hint = nearest(name, presets)
            raise ConfigError(f"preset of {cls.name} must be one of {', '.join(presets)}, got {name!r}{hint}")
        return cast(ConfigT, cls.config_type(**{**presets[name], "preset": name, **settings}))

    @classmethod
    def describe(cls, config: ConfigT) -> Task:
        """Return the task; an algorithm that needs no environment returns `Task.without_environment(name)`."""
        task = describe(config.env_id, config.env_kwargs)
        return replace(task, delayed_reward=config.delayed_reward, backend=config.backend)

    @classmethod
    def make_policy(cls, config: ConfigT, task: Task) -> Policy:
        """Return what turns a row of parameters into actions."""
        return deterministic_policy(task, config.network, config.actor)

    def build(self) -> None:
        """Make what the parts need and keep between generations; no environment is stepped here."""

    def initialise(self) -> Population:
        """Return the first parents."""
        return self.fresh(range(self.config.population_size))

    # The four parts.

    def vary(self, parents: Population) -> Population:
        """Return `population_size` candidates; by default the parents themselves."""
        return parents

    def learn(self, candidates: Population) -> Population:
        """Return the candidates after gradient steps; by default as they are."""
        return candidates

    def evaluate(self, candidates: Population) -> Population:
        """Return the candidates with fitness; by default as they are."""
        return candidates

    def select(self, evaluated: Population) -> Population:
        """Return the next parents; by default everyone."""
        return evaluated

    # What the run hands back and reports.

    def answer(self) -> Population:
        """Return the one row that the run stands for, at any time and without a step of an environment."""
        return self.population[[0]]

    def tested(self) -> Mapping[str, Population]:
        """Return whom else to test beside the answer, by the tag of their mean return; by default nobody."""
        return {}

    def report(self, evaluated: Population) -> Report:
        """Return the algorithm's own scalars, the same tags at every generation."""
        return {}

    @classmethod
    def first_steps(cls, config: ConfigT, task: Task) -> int | None:
        """Return the most environment steps that the first generation can take; None if there is no bound."""
        return None if task.time_limit is None else config.population_size * task.time_limit

    # The loop.

    @final
    def step(self, watch: Callable[[Population], None] | None = None) -> Report:
        """Turn the loop once and return what happened; `watch` is shown the evaluated candidates, not to be changed."""
        timed, size = self.stopwatch.timed, self.config.population_size
        candidates = timed("vary", self.vary, self.population)
        if len(candidates) != size:
            raise ValueError(f"vary must return population_size = {size} rows, got {len(candidates)}")
        learned = timed("learn", self.learn, candidates)
        if not learned.params.isfinite().all(dim=1).any():
            remedy = "the learner has diverged, and smaller learning rates may help"
            raise Diverged(f"generation {self.generation}: no member has finite parameters any more; {remedy}")
        evaluated = timed("evaluate", self.evaluate, learned)
        self.population = timed("select", self.select, evaluated)
        self.generation += 1
        if watch is not None:
            watch(evaluated)
        report = describe_evaluated(evaluated, judged=type(self).evaluate is not EvoRL.evaluate)
        return {**report, **self.report(evaluated), **self.ledger.report()}

    @property
    @final
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return self.ledger.spent >= self.config.total_timesteps

    @property
    @final
    def exact(self) -> bool:
        """Whether everything that was resumed could be brought back to where it stood."""
        return all(getattr(getattr(self, name), "exact", True) for name in self.state)

    @final
    def play_fitness(
        self,
        candidates: Population,
        episodes_per_member: int = 1,
        starts: str = "fitness",
        rows: Sequence[int] | None = None,
    ) -> Population:
        """Return the candidates with the mean return of fresh episodes each, stored in `replay` if any.

        `starts` names the stream of the start states, so that two evaluations of one generation can differ in them;
        `rows` are those of the candidates if they are not the whole population.
        """
        playing, replay = (self.episodes, self.streams, self.generation), self.replay
        return evaluate_by_episodes(candidates, *playing, episodes_per_member, starts, replay, rows)

    @final
    def make_envs(self, n: int) -> MemberEnvs:
        """Return `n` environments of the task; they are closed with the run."""
        self._envs.append(make(self.task, n))
        return self._envs[-1]

    @final
    def members(self, params: NDArray[Any], origin: str) -> Population:
        """Return new members without parents, of parameters (n, d)."""
        rows = torch.from_numpy(params.astype(np.float32)).to(self.config.device)
        return Population.fresh(rows, self.identities, origin)

    def fresh(self, rows: Sequence[int]) -> Population:
        """Return new members for the slots `rows`, with parameters drawn from these rows' streams `initialise`."""
        params = self.policy.network.init(self.streams.rows("initialise", rows))
        return Population.fresh(params.to(self.config.device), self.identities, "initial")

    def _check_budget(self) -> None:
        smallest = self.first_steps(self.config, self.task)
        if smallest is not None and self.config.total_timesteps < smallest:
            got = self.config.total_timesteps
            raise ConfigError(f"total_timesteps must be at least {smallest}, which one generation can take, got {got}")

    @final
    def state_dict(self) -> dict[str, Any]:
        """Return everything named in `state`, in tensors and plain values."""
        return state_of(self, self.state)

    @final
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ValueError: the names in `state` are not those of this class.
        """
        restore(self, self.state, state, self.identities)

    def close(self) -> None:
        """Free the environments."""
        for envs in self._envs:
            envs.close()
