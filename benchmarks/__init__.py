"""Speed, as ratios of things measured side by side in one run; no part of the library and no test of it.

`python -m benchmarks` answers every question below, prints the tables and writes them down; names choose among them.

- update: a TD3 update of stacked members against a loop of plain modules and against its bare matrix products
- profile: into which operations the time of that update goes
- precision: what bfloat16 can win on this processor
- evaluation: ten members on HalfCheetah-v5 against a loop over Gymnasium's environments and against bare physics
- cem-rl: a generation of CEM-RL against a plain sequential implementation
- generation: CEM-RL, ERL, P3S-TD3 and PBT, part by part
- scaling: the cost of an update against the size of the population and the width of the networks
- crowd: a hundred small members that act and learn, in time and memory
- launch: what a user waits for

`python -m benchmarks.peers` compares with other packages, each in an environment that it makes.
"""
