# SPDX-License-Identifier: Apache-2.0
"""The documented surface of npu_bridge, and what a program takes of it.

Sources: TF Adapter's docs/en/tfadapter_1/apiref, and its npu_init.py.
"""

import ast

# Module -> names, of the newest adapter.
SURFACE = {
    'npu_bridge': {'npu_bridge_handle', '__version__', 'helper', 'npu_estimator', 'hccl_ops',
                   'npu_close'},
    'npu_bridge.helper': {'helper'},
    'npu_bridge.helper.helper': {'npu_bridge_handle', 'version'},
    'npu_bridge.hccl': {'hccl_ops'},
    'npu_bridge.hccl.hccl_ops': {'allreduce', 'allgather', 'broadcast', 'reduce_scatter'},
    'npu_bridge.estimator': {'npu', 'npu_ops', 'npu_unary_ops'},
    'npu_bridge.estimator.npu_ops': {'initialize_system', 'shutdown_system'},
    'npu_bridge.estimator.npu': {
        'keras_to_npu', 'npu_config', 'npu_estimator', 'npu_hook', 'npu_loss_scale_manager',
        'npu_loss_scale_optimizer', 'npu_optimizer', 'npu_plugin', 'npu_rnn', 'npu_scope',
        'npu_strategy', 'util'},
    'npu_bridge.estimator.npu.npu_config': {
        'NPURunConfig', 'ProfilingConfig', 'MemoryConfig', 'DumpConfig', 'DynamicInputConfig',
        'decorator_tf_session'},
    'npu_bridge.estimator.npu.npu_loss_scale_manager': {
        'FixedLossScaleManager', 'ExponentialUpdateLossScaleManager'},
    'npu_bridge.estimator.npu.npu_loss_scale_optimizer': {'NPULossScaleOptimizer'},
    'npu_bridge.estimator.npu.npu_optimizer': {
        'NPUDistributedOptimizer', 'KerasDistributeOptimizer', 'npu_distributed_optimizer_wrapper',
        'NPUOptimizer', 'npu_allreduce'},
    'npu_bridge.estimator.npu.npu_plugin': {
        'npu_resource_init', 'npu_resource_shutdown', 'npu_close', 'set_device_sat_mode'},
    'npu_bridge.estimator.npu.npu_scope': {
        'without_npu_compile_scope', 'keep_dtype_scope', 'npu_variable_scope'},
    'npu_bridge.estimator.npu.util': {
        'set_iteration_per_loop', 'IterationPerLoop', 'create_or_get_var',
        'check_positive_integer', 'check_nonnegative_integer', 'check_bool_type', 'check_path'},
    'npu_bridge.npu_init': {
        'NPURunConfig', 'ProfilingConfig', 'MemoryConfig', 'DumpConfig', 'DynamicInputConfig',
        'decorator_tf_session', 'NPUEstimator', 'NPUEstimatorSpec', 'NPUCheckpointSaverHook',
        'NPUOutputTensorHook', 'NPUBroadcastGlobalVariablesHook', 'SetIterationsVarHook',
        'TellMeStepOrLossHook', 'NPUBroadcastGlobalVariablesCallback', 'NPUDistributedOptimizer',
        'KerasDistributeOptimizer', 'npu_distributed_optimizer_wrapper', 'NPUOptimizer',
        'npu_allreduce', 'NPULossScaleOptimizer', 'FixedLossScaleManager',
        'ExponentialUpdateLossScaleManager', 'npu_ops', 'npu_rnn', 'npu_scope', 'keras_to_npu',
        'npu_strategy', 'util', 'npu_plugin', 'npu_unary_ops', 'hccl_ops', 'profiler',
        'npu_cpu_ops', 'scoped_graph_manager', 'config_pb2', 'rewriter_config_pb2',
        'RewriterConfig', 'session', 'session_run_hook', 'backend', 'tf', 'create_group',
        'destroy_group', 'get_rank_size', 'get_local_rank_size', 'get_rank_id',
        'get_local_rank_id', 'get_world_rank_from_group_rank', 'get_group_rank_from_world_rank',
        'set_split_strategy_by_idx', 'set_split_strategy_by_size', 'npu_hooks_append',
        'npu_callbacks_append', 'npu_config_proto', 'npu_graph_options', 'npu_optimizer_options',
        'npu_run_config_init', 'set_keras_session_npu_config', 'init_resource',
        'shutdown_resource', 'close_session', 'get_npu_rank_id', 'get_npu_local_rank_id',
        'get_npu_rank_size', 'get_npu_local_rank_size', 'npu_keras_optimizer',
        'npu_tf_optimizer', 'npu_clear_session'},
}

# Later than CANN 5.0.2's adapter, r1.5.0, which the project supports.
LATER = {'npu_bridge.npu_init.decorator_tf_session',
         'npu_bridge.estimator.npu.npu_config.decorator_tf_session'}


def is_documented(name: str) -> bool:
    """True for a module, or for a name of one, by dotted name; from CANN 5.0.2 on."""
    module, _, attribute = name.rpartition('.')
    return name in SURFACE or attribute in SURFACE.get(module, ()) and name not in LATER


def taken(source: str) -> set:
    """What a program takes of npu_bridge, by dotted name; `module.*` is a star import.

    A name that it imports is followed into the program: util.name is npu_bridge's util's.
    """
    tree, known, found = ast.parse(source), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                found.add(name.name)
                known[name.asname or name.name.split('.')[0]] = (
                    name.name if name.asname else name.name.split('.')[0])
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                found.add(f'{node.module}.{name.name}')
                known[name.asname or name.name] = f'{node.module}.{name.name}'
    found |= {_dotted(node, known) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in found if name.split('.')[0] == 'npu_bridge'}


def undocumented(source: str) -> list:
    """What a program takes of npu_bridge that the surface lacks, sorted.

    An attribute of a class or of a function counts as theirs.
    """
    return sorted(name for name in taken(source)
                  if not is_documented(name) and not _is_within(name))


def _is_within(name: str) -> bool:
    owner = name.rpartition('.')[0]
    return bool(owner) and owner not in SURFACE and (is_documented(owner) or _is_within(owner))


def _dotted(node, known) -> str:
    if isinstance(node, ast.Attribute):
        return f'{_dotted(node.value, known)}.{node.attr}'
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else '?'
