# SPDX-License-Identifier: Apache-2.0
"""NpuOptimizer's parameters: the field of AttrValue that the adapter reads, and since which branch.

Sources: npu_attrs.cc of https://gitee.com/ascend/tensorflow, every branch; TF Adapter's docs
(apiref/session_config) for the values that are allowed.
"""

from typing import Dict, NamedTuple, Tuple


class Parameter(NamedTuple):
    """How the adapter reads a parameter; a value in another field than this one is not seen."""

    field: str                      # b, i or s
    since: str                      # the first branch of the adapter that reads it
    allowed: Tuple[str, ...] = ()   # of a string or a number, where the documentation lists them


# name, field, branch (dev: between r1.1.1 and r1.2.0), values
TABLE = '''
ac_parallel_enable s r1.15.0 0,1
aoe_config_file s r1.11.0
aoe_mode s r1.5.0 1,2,4,mdat
atomic_clean_policy i r1.9.0 0,1
auto_tune_mode s r1.1.1
buffer_optimize s r1.2.0 l2_optimize,off_optimize
compress_weight_conf s r1.2.0
const_input s r1.9.0
customize_dtypes s r1.9.0
debug_dir s r1.2.0
deterministic i r1.12.0 0,1
device_type s r1.7.0
distribute_config s r1.3.0
dump_data s r1.10.0 tensor,stats
dump_debug_mode s r1.1.1 aicore_overflow,atomic_overflow,all
dump_layer s r1.10.0
dump_mode s r1.1.1 input,output,all
dump_path s r1.1.1
dump_step s r1.1.1
dynamic_dims s r1.2.0
dynamic_graph_execute_mode s dev lazy_recompile,dynamic_execute
dynamic_input b dev
dynamic_inputs_shape_range s dev
dynamic_node_type i r1.2.0 0,1
enable_compress_weight b r1.2.0
enable_data_pre_proc b r1.1.1
enable_dump b r1.1.1
enable_dump_debug b r1.1.1
enable_exception_dump i r1.1.1 0,1,2
enable_graph_parallel b r1.12.0
enable_scope_fusion_passes s r1.1.1
enable_small_channel i r1.2.0 0,1
event_sync_timeout i r1.12.0
external_weight b r1.11.0
frozen_variable b r1.12.0
fusion_switch_file s r1.2.0
graph_compiler_cache_dir s r1.13.0
graph_exec_timeout i r1.9.0
graph_memory_max_size s r1.1.1
graph_parallel_option_path s r1.12.0
graph_run_mode i r1.1.1 0,1
graph_slice s r1.13.0 auto,manual
hccl_timeout i r1.7.0
HCCL_algorithm s r1.8.0
hcom_multi_mode b dev
hcom_parallel b r1.1.1
in_out_pair s r1.3.0
in_out_pair_flag b r1.3.0
input_shape s r1.2.0
insert_op_file s r1.11.0
is_tailing_optimization b r1.1.1
iterations_per_loop i r1.1.1
jit_compile s r1.13.0 true,false,auto
job s r1.1.1
local_device_list s dev
local_rank_id i dev 0,1,2,3,4,5,6,7
lower_functional_ops b r1.1.1
memory_optimization_policy s r1.12.0
mix_compile_mode b r1.1.1
modify_mixlist s r1.5.0
op_compiler_cache_dir s r1.2.0
op_compiler_cache_mode s r1.2.0 enable,disable,force
op_debug_config s r1.9.0
op_debug_level i r1.1.1 0,1,2,3,4
op_execute_timeout i r1.7.0
op_precision_mode s r1.5.0
op_select_implmode s r1.1.1 high_precision,high_performance,high_precision_for_all,high_performance_for_all
op_wait_timeout i r1.7.0
optypelist_for_implmode s r1.1.1
precision_mode s r1.1.1 force_fp32,allow_fp32_to_fp16,force_fp16,must_keep_origin_dtype,allow_mix_precision,cube_fp16in_fp32out,allow_mix_precision_fp16,allow_mix_precision_bf16,allow_fp32_to_bf16
precision_mode_v2 s r1.13.0 fp16,origin,cube_fp16in_fp32out,mixed_float16,mixed_bfloat16
profiling_mode b r1.1.1
profiling_options s r1.1.1
resource_config_path s r1.10.0
session_device_id i dev
soc_config s r1.8.0
static_memory_policy i r1.9.0 0,1,2,3,4
stream_max_parallel_num s r1.1.1
stream_sync_timeout i r1.12.0
task_index i r1.1.1
topo_sorting_mode i r1.10.0
use_off_line b r1.1.1
variable_format_optimize b r1.1.1
variable_memory_max_size s r1.1.1
variable_placement s r1.12.0 Device,Host
work_path s r1.2.0
'''  # noqa: E501


def _parsed() -> Dict[str, Parameter]:
    rows = (line.split() for line in TABLE.strip().splitlines())
    return {name: Parameter(field, 'r1.2.0' if since == 'dev' else since,
                            tuple(values[0].split(',')) if values else ())
            for name, field, since, *values in rows}


PARAMETERS = _parsed()
