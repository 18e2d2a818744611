# SPDX-License-Identifier: Apache-2.0
"""What a session comes to with the adapter, for many configurations in few seconds.

    python sessions.py <cases.json     where npu_bridge can be imported

A case is a serialized ConfigProto in hexadecimal, or that after "oneshot ".  Prints a list in JSON:
npu or host for where the session ran, or a signal or an error with what was said.
"""

import json
import os
import signal
import sys
import tempfile

sys.path.pop(0)     # the double beside us has no adapter, the one that is installed has

import npu_bridge  # noqa: E402, F401  (loads the adapter)
import tensorflow as tf  # noqa: E402


def main():
    cases = json.load(sys.stdin)
    json.dump([outcome(case) for case in cases], sys.stdout)


def outcome(case: str) -> str:
    """Run a case in a process of its own, for a mistake may abort it."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            print(where(case), flush=True)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        said.seek(0)
        text = said.read().decode().strip()
    if os.WIFSIGNALED(status):
        fatal = [line for line in text.splitlines() if ': F ' in line]
        return f'{signal.Signals(os.WTERMSIG(status)).name}: {fatal[-1].partition("] ")[2]}'
    return text.splitlines()[-1]


def where(case: str) -> str:
    """npu or host, by the graph that was executed; or the error."""
    kind, _, proto = case.rpartition(' ')
    config, ran = tf.ConfigProto.FromString(bytes.fromhex(proto)), tf.RunMetadata()
    data = tf.data.Dataset.from_tensors(2.0)
    iterator = (tf.data.make_one_shot_iterator if kind == 'oneshot' else
                tf.data.make_initializable_iterator)(data)
    variable = tf.get_variable('v', initializer=3.0)
    product = variable * iterator.get_next()
    with tf.Session(config=config) as session:
        try:
            session.run([variable.initializer]
                        + ([] if kind == 'oneshot' else [iterator.initializer]))
            session.run(product, run_metadata=ran,
                        options=tf.RunOptions(output_partition_graphs=True))
        except tf.errors.OpError as e:
            return f'{type(e).__name__}: {e.message.splitlines()[0]}'
    return 'npu' if any(node.op == 'GeOp' for graph in ran.partition_graphs
                        for node in graph.node) else 'host'


if __name__ == '__main__':
    main()
