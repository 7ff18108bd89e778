"""Gymnasium's MuJoCo tasks as rules over rows: what they observe, reward and end, of k simulations at once.

The numbers are read off the environment that Gymnasium made, so that its arguments count here too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from evorl.envs.mujoco_rules import (
    Array,
    Env,
    Fields,
    Judged,
    Observations,
    Rules,
    control_cost,
    joined,
    lengths,
    nothing,
    scalar_squares,
    sum_of_squares,
    survived,
    within,
    without,
)


def runner(env: Env, version: int, hidden: int) -> Rules:
    """HalfCheetah and Swimmer: forward velocity less the cost of control; they never end."""

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        velocity = (fields["qpos"][:, 0] - before[:, 0]) / env.dt
        rewards = env._forward_reward_weight * velocity - control_cost(env, actions)
        return rewards, np.zeros(len(rewards), bool)

    return Rules(
        observe=lambda fields: joined(without(env, fields["qpos"], hidden), fields["qvel"]),
        judge=judge,
        mark=lambda fields: fields["qpos"][:, :1],
    )


def stands(env: Env, fields: Fields) -> NDArray[np.bool_]:
    """Return which of k hoppers or walkers stand; of a hopper every coordinate must be in its range too."""
    height, angle = fields["qpos"][:, 1], fields["qpos"][:, 2]
    healthy = within(height, env._healthy_z_range) & within(angle, env._healthy_angle_range)
    if hasattr(env, "_healthy_state_range"):
        state = np.concatenate([fields["qpos"], fields["qvel"]], axis=1)[:, 2:]
        healthy &= within(state, env._healthy_state_range).all(axis=1)
    return healthy


def legged(env: Env, version: int) -> Rules:
    """Hopper and Walker2d: forward velocity and health, less the cost of control."""

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        velocity = (fields["qpos"][:, 0] - before[:, 0]) / env.dt
        alive, over = survived(env, stands(env, fields), version)
        return env._forward_reward_weight * velocity + alive - control_cost(env, actions), over

    return Rules(
        observe=lambda fields: joined(without(env, fields["qpos"], 1), np.clip(fields["qvel"], -10, 10)),
        judge=judge,
        mark=lambda fields: fields["qpos"][:, :1],
    )


def ant(env: Env, version: int) -> Rules:
    """Ant: the body's velocity and health, less the costs of control and, in v4 only if asked, of contact."""
    body = env.model.body("torso" if version == 4 else env._main_body).id
    weight = 1.0 if version == 4 else env._forward_reward_weight
    costly = version == 5 or bool(env._use_contact_forces)
    shown = env._use_contact_forces if version == 4 else env._include_cfrc_ext_in_observation

    def forces(fields: Fields) -> Array:
        low, high = env._contact_force_range
        clipped: Array = np.clip(fields["cfrc_ext"], low, high)
        return clipped

    def observe(fields: Fields) -> Observations:
        parts = [without(env, fields["qpos"], 2), fields["qvel"]]
        return joined(*parts, forces(fields)[:, version - 4 :]) if shown else joined(*parts)

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        velocity = (fields["xpos"][:, body, 0] - before[:, 0]) / env.dt
        state = np.concatenate([fields["qpos"], fields["qvel"]], axis=1)
        low, high = env._healthy_z_range
        healthy = np.isfinite(state).all(axis=1) & (low <= state[:, 2]) & (state[:, 2] <= high)
        alive, over = survived(env, healthy, version)
        costs = control_cost(env, actions)
        if costly:
            costs = costs + env._contact_cost_weight * sum_of_squares(forces(fields))
        return velocity * weight + alive - costs, over

    return Rules(observe, judge, lambda fields: fields["xpos"][:, body, :1], ("qpos", "qvel", "xpos"), costly)


def _humanoid_observation(env: Env, version: int, fields: Fields) -> Observations:
    """Positions, velocities, and of every body inertia, velocity and forces; v5 leaves out those of the world."""
    first = {"cinert": 1, "cvel": 1, "qfrc_actuator": 6, "cfrc_ext": 1}
    parts = [without(env, fields["qpos"], 2), fields["qvel"]]
    if version == 4:
        return joined(*parts, *(fields[name] for name in first))
    shown = [name for name in first if getattr(env, f"_include_{name}_in_observation") is True]
    return joined(*parts, *(fields[name][:, first[name] :] for name in shown))


HUMANOID_FIELDS = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator")


def humanoid(env: Env, version: int) -> Rules:
    """Humanoid: the mass centre's velocity and health, less the costs of control and, in v5, of contact."""
    masses = env.model.body_mass
    total = masses.sum()

    def mark(fields: Fields) -> Array:
        moments: Array = np.einsum("b,kbj->kj", masses, fields["xipos"])
        centre: Array = moments / total
        return centre[:, :1]

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        velocity = (mark(fields)[:, 0] - before[:, 0]) / env.dt
        alive, over = survived(env, within(fields["qpos"][:, 2], env._healthy_z_range), version)
        costs = control_cost(env, actions.astype(np.float64))
        if version == 5:
            contact = env._contact_cost_weight * sum_of_squares(fields["cfrc_ext"])
            costs = costs + np.clip(contact, *env._contact_cost_range)
        return env._forward_reward_weight * velocity + alive - costs, over

    observe = partial(_humanoid_observation, env, version)
    return Rules(observe, judge, mark, (*HUMANOID_FIELDS, "xipos"), contacts=True)


def standup(env: Env, version: int) -> Rules:
    """HumanoidStandup: the height reached, less the costs of control and of impact; it never ends."""
    control, impact, bounds = 0.1, 5e-7, (-np.inf, 10)
    if version == 5:
        control, impact, bounds = env._ctrl_cost_weight, env._impact_cost_weight, env._impact_cost_range

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        height = fields["qpos"][:, 2] / env.model.opt.timestep
        control_cost = control * sum_of_squares(actions.astype(np.float64))
        impact_cost = np.clip(impact * sum_of_squares(fields["cfrc_ext"]), *bounds)
        return height - control_cost - impact_cost + 1, np.zeros(len(height), bool)

    observe = partial(_humanoid_observation, env, version)
    return Rules(observe, judge, nothing, HUMANOID_FIELDS, contacts=True)


def reacher(env: Env, version: int) -> Rules:
    """Reacher: how near the fingertip is, less the cost of control; v4 measures before it moves."""
    tip, target = env.model.body("fingertip").id, env.model.body("target").id
    near, control = (1, 1) if version == 4 else (env._reward_dist_weight, env._reward_control_weight)

    def apart(fields: Fields) -> Array:
        return fields["xpos"][:, tip] - fields["xpos"][:, target]

    def observe(fields: Fields) -> Observations:
        angles, between = np.ascontiguousarray(fields["qpos"][:, :2]), apart(fields)
        parts = [np.cos(angles), np.sin(angles), fields["qpos"][:, 2:], fields["qvel"][:, :2]]
        return joined(*parts, between if version == 4 else between[:, :2])

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        distances = lengths(before if version == 4 else apart(fields))
        rewards = -distances * near + -sum_of_squares(actions) * control
        return rewards, np.zeros(len(rewards), bool)

    return Rules(observe, judge, apart, ("qpos", "qvel", "xpos"))


def pusher(env: Env, version: int) -> Rules:
    """Pusher: how near the object is to the goal and the arm to the object, less the cost of control."""
    arm, thing, goal = (env.model.body(name).id for name in ("tips_arm", "object", "goal"))

    def observe(fields: Fields) -> Observations:
        bodies = fields["xpos"]
        return joined(fields["qpos"][:, :7], fields["qvel"][:, :7], bodies[:, arm], bodies[:, thing], bodies[:, goal])

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        bodies = fields["xpos"]
        near = -lengths(bodies[:, thing] - bodies[:, arm]) * env._reward_near_weight
        distance = -lengths(bodies[:, thing] - bodies[:, goal]) * env._reward_dist_weight
        rewards = distance + -sum_of_squares(actions) * env._reward_control_weight + near
        return rewards, np.zeros(len(rewards), bool)

    return Rules(observe, judge, nothing, ("qpos", "qvel", "xpos"))


def pendulum(env: Env, version: int) -> Rules:
    """InvertedPendulum: one a step while it stands; v4 pays the last step too."""

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        state = np.concatenate([fields["qpos"], fields["qvel"]], axis=1)
        over = ~np.isfinite(state).all(axis=1) | (np.abs(state[:, 1]) > 0.2)
        return np.ones(len(over)) if version == 4 else 1.0 - over, over

    return Rules(lambda fields: joined(fields["qpos"], fields["qvel"]), judge, nothing)


def double_pendulum(env: Env, version: int) -> Rules:
    """InvertedDoublePendulum: a bonus while it stands, less how far the tip is off and how fast the joints turn."""
    shown = None if version == 4 else 1

    def observe(fields: Fields) -> Observations:
        angles = np.ascontiguousarray(fields["qpos"][:, 1:])
        limited = [np.clip(fields[name], -10, 10) for name in ("qvel", "qfrc_constraint")]
        return joined(fields["qpos"][:, :1], np.sin(angles), np.cos(angles), limited[0], limited[1][:, :shown])

    def judge(fields: Fields, before: Array, actions: NDArray[np.float32]) -> Judged:
        x, y = fields["site_xpos"][:, 0, 0], fields["site_xpos"][:, 0, 2]
        over = y <= 1
        off = 0.01 * scalar_squares(x) + scalar_squares(y - 2)
        turning = 0.001 * scalar_squares(fields["qvel"][:, 1]) + 0.005 * scalar_squares(fields["qvel"][:, 2])
        bonus = 10 if version == 4 else env._healthy_reward * (~over).astype(np.float64)
        return bonus - off - turning, over

    return Rules(observe, judge, nothing, ("qpos", "qvel", "site_xpos", "qfrc_constraint"))


_FAMILIES: dict[str, Callable[..., Rules]] = {
    "half_cheetah:HalfCheetahEnv": partial(runner, hidden=1),
    "swimmer:SwimmerEnv": partial(runner, hidden=2),
    "hopper:HopperEnv": legged,
    "walker2d:Walker2dEnv": legged,
    "ant:AntEnv": ant,
    "humanoid:HumanoidEnv": humanoid,
    "humanoidstandup:HumanoidStandupEnv": standup,
    "reacher:ReacherEnv": reacher,
    "pusher:PusherEnv": pusher,
    "inverted_pendulum:InvertedPendulumEnv": pendulum,
    "inverted_double_pendulum:InvertedDoublePendulumEnv": double_pendulum,
}
#: By the entry point that Gymnasium registers; Pusher-v4 cannot be made with any MuJoCo that has batches.
RULES: dict[str, Callable[[Env], Rules]] = {
    f"gymnasium.envs.mujoco.{module}_v{version}:{name}": partial(family, version=version)
    for (module, name), family in ((key.split(":"), family) for key, family in _FAMILIES.items())
    for version in (4, 5)
    if (module, version) != ("pusher", 4)
}
