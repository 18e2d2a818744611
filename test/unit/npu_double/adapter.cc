// SPDX-License-Identifier: Apache-2.0
// A double of the TF Adapter's _tf_adapter.so: what its graph pass makes of a session's
// NpuOptimizer is the original's (npu_attrs.cc, om_partition_subgraphs_pass.cc), and so is how it
// fails.  A stand-in: the operations stay on the CPU, behind a GeOp that does nothing.
//
// NPU_DOUBLE_FAULT: init (the device cannot be opened: SIGABRT) or busy (another process has it).
// NPU_DOUBLE_STEP_MS: how long the device takes for a graph.

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <set>
#include <string>

#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/lib/io/path.h"
#include "tensorflow/core/lib/strings/numbers.h"
#include "tensorflow/core/lib/strings/str_util.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/public/session_options.h"

namespace tensorflow {
namespace {

string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// --- the device --------------------------------------------------------------------------------

// CANN's log of a process.
void Plog(const string& module, const string& text) {
  const string pid = std::to_string(getpid());
  const std::time_t now = std::time(nullptr);
  char at[32], name[32];
  std::strftime(at, sizeof at, "%Y-%m-%d-%H:%M:%S", std::localtime(&now));
  std::strftime(name, sizeof name, "%Y%m%d%H%M%S", std::localtime(&now));
  const string line =
      "[ERROR] " + module + "(" + pid + ",python3.7):" + at + ".000.000 " + text + "\n";
  const string path = Variable("ASCEND_PROCESS_LOG_PATH");
  const string folder = io::JoinPath(
      path.empty() ? io::JoinPath(Variable("HOME"), "ascend/log") : path, "run/plog");
  TF_CHECK_OK(Env::Default()->RecursivelyCreateDir(folder));
  const string file = "plog-" + pid + "_" + name + "000.log";
  TF_CHECK_OK(WriteStringToFile(Env::Default(), io::JoinPath(folder, file), line));
}

// What opens the device: the first run of a GeOp, or of NPUInit.
Status Open(const string& name) {
  const string fault = Variable("NPU_DOUBLE_FAULT");
  if (fault == "init") {
    Plog("GE", "[ge_plugin.cc:218][Init][EVENT]Initialize ge failed, ret : 507033");
    LOG(FATAL) << "[GePlugin] Initialize ge failed, ret : 507033\nError Message is : \n"
               << "EE8888: Inner Error! TsdOpen failed. devId=0, tdt error=31";
  }
  if (fault == "busy") {
    Plog("HCCP", "[ra_host.c:431]tid:1,ra_init : hccp process is already running, ret(-16)");
    return errors::Internal(
        name, "GEOP::::DoRunAsync Failed\nError Message is : \n"
        "EJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is "
        "running.\n        Solution: Wait for 10s after killing the last training process and try "
        "again.");
  }
  return Status::OK();
}

class OnDevice : public OpKernel {
 public:
  explicit OnDevice(OpKernelConstruction* construction) : OpKernel(construction) {}
  void Compute(OpKernelContext* context) override {
    OP_REQUIRES_OK(context, Open(name()));
    Env::Default()->SleepForMicroseconds(1000 * std::atoi(Variable("NPU_DOUBLE_STEP_MS").c_str()));
  }
};

// --- the parameters ----------------------------------------------------------------------------

// As in the original a value in another field than the one that is read counts as its default.
class Parameters {
 public:
  explicit Parameters(const google::protobuf::Map<string, AttrValue>& map) : map_(map) {}
  bool Has(const string& name) const { return map_.count(name) > 0; }
  bool B(const string& name, bool unset) const { return Has(name) ? map_.at(name).b() : unset; }
  int64 I(const string& name, int64 unset) const { return Has(name) ? map_.at(name).i() : unset; }
  string S(const string& name) const { return Has(name) ? map_.at(name).s() : ""; }
  bool IsString(const string& name) const { return map_.at(name).value_case() == AttrValue::kS; }
  // Not set, or one of these.
  bool OneOf(const string& name, const std::set<string>& values) const {
    return !Has(name) || values.count(S(name)) > 0;
  }

 private:
  const google::protobuf::Map<string, AttrValue>& map_;
};

void Demand(bool fine, const string& complaint) {
  if (!fine) LOG(FATAL) << complaint;
}

bool IsDumpStep(const string& text) {
  const std::vector<string> parts = str_util::Split(text, '|');
  for (const string& part : parts) {
    const std::vector<string> ends = str_util::Split(part, '-');
    int64 first, last;
    if (ends.size() > 2 || !strings::safe_strto64(ends.front(), &first) ||
        !strings::safe_strto64(ends.back(), &last) || (ends.size() == 2 && first >= last)) {
      return false;
    }
  }
  return parts.size() <= 100;
}

Status CheckDump(const Parameters& npu) {
  const bool dump = npu.B("enable_dump", false), debug = npu.B("enable_dump_debug", false);
  if (!dump && !debug) return Status::OK();
  if (!npu.Has("dump_path")) {
    return errors::Internal("if use dump function, dump_path must be set.");
  }
  const string path = npu.S("dump_path");
  if (!Env::Default()->IsDirectory(path).ok() || access(path.c_str(), R_OK | W_OK) != 0) {
    return errors::Internal("the path ", path, " is not exist or has no read and write permission");
  }
  Demand(!dump || !npu.Has("dump_step") || IsDumpStep(npu.S("dump_step")),
         "dump_step string style is error, correct example:'0|5|10|50-100'");
  Demand(!dump || npu.OneOf("dump_mode", {"input", "output", "all"}),
         "dump mode should be one of the list:[input, output, all]");
  Demand(!debug || npu.OneOf("dump_debug_mode", {"aicore_overflow", "atomic_overflow", "all"}),
         "dump debug mode should be one of the list:[aicore_overflow, atomic_overflow, all]");
  return Status::OK();
}

Status CheckPrecision(const Parameters& npu) {
  if (!npu.OneOf("precision_mode",
                 {"force_fp32", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype",
                  "allow_mix_precision", "cube_fp16in_fp32out", "allow_mix_precision_fp16",
                  "allow_mix_precision_bf16", "allow_fp32_to_bf16"})) {
    return errors::InvalidArgument("precision_mode ", npu.S("precision_mode"), " is not supported");
  }
  if (!npu.OneOf("precision_mode_v2", {"fp16", "origin", "cube_fp16in_fp32out", "mixed_float16",
                                       "mixed_bfloat16", "cube_hif8", "mixed_hif8"}) ||
      (npu.Has("precision_mode_v2") && npu.Has("precision_mode"))) {
    return errors::InvalidArgument("precision_mode_v2 ", npu.S("precision_mode_v2"),
                                   " is not supported, or not beside precision_mode");
  }
  if (npu.Has("modify_mixlist") && npu.S("precision_mode") != "allow_mix_precision") {
    return errors::Internal("modify_mixlist is assigned, please ensure that precision_mode is "
                            "assigned to 'allow_mix_precision'.");
  }
  return Status::OK();
}

Status Check(const Parameters& npu) {
  Demand(npu.I("iterations_per_loop", 1) >= 1, "iterator_per_loop should be int and must >= 1");
  Demand(npu.I("task_index", 0) >= 0, "task_index should be int and must >= 0");
  Demand(npu.I("graph_run_mode", 1) <= 1, "graph_run_mode value must be 0 or 1");
  Demand(npu.I("session_device_id", 0) >= 0, "session_device_id must be nonnegative integer.");
  Demand(npu.OneOf("op_select_implmode", {"high_precision", "high_performance",
                   "high_precision_for_all", "high_performance_for_all"}),
         "op_select_implmode value is not supported");
  Demand(!npu.Has("optypelist_for_implmode") || npu.Has("op_select_implmode"),
         "when use optypelist_for_implmode, op_select_implmode must be set.");
  Demand(npu.OneOf("buffer_optimize", {"l2_optimize", "off_optimize"}),
         "buffer_optimize is not valid, should be one of the list:[l2_optimize, off_optimize]");
  if (npu.Has("jit_compile") && (!npu.IsString("jit_compile") ||
                                 !npu.OneOf("jit_compile", {"true", "false", "auto"}))) {
    return errors::InvalidArgument("jit_compile must be a string: true, false or auto");
  }
  TF_RETURN_IF_ERROR(CheckPrecision(npu));
  return CheckDump(npu);
}

// --- the pass ----------------------------------------------------------------------------------

// The host's own: data sets, and what gives an NPU nothing to do by itself.
bool IsOnHost(const Node& node) {
  static const std::set<string> host = {"Const", "NoOp", "Placeholder", "_Arg", "_Retval", "PyFunc",
                                        "NPUShutdown"};
  const string type = node.type_string();
  return host.count(type) > 0 || node.def().attr().count("_without_npu_compile") > 0 ||
         str_util::StrContains(type, "Iterator") || str_util::StrContains(type, "Dataset");
}

class OMPartitionSubgraphsPass : public GraphOptimizationPass {
 public:
  Status Run(const GraphOptimizationPassOptions& options) override {
    if (options.graph == nullptr || options.session_options == nullptr) return Status::OK();
    const auto& graph_options = options.session_options->config.graph_options();
    for (const auto& optimizer : graph_options.rewrite_options().custom_optimizers()) {
      if (optimizer.name() == "NpuOptimizer") {
        return Offload(Parameters(optimizer.parameter_map()), options.graph->get());
      }
    }
    return Status::OK();
  }

 private:
  static Status Offload(const Parameters& npu, Graph* graph) {
    static std::atomic<int> graphs(0);
    TF_RETURN_IF_ERROR(Check(npu));
    const string job = npu.S("job");
    if (!npu.B("use_off_line", true) || job == "ps" || job == "default") return Status::OK();
    bool works = false;
    for (Node* node : graph->op_nodes()) {
      Demand(node->type_string() != "OneShotIterator" || npu.I("iterations_per_loop", 1) == 1,
             "iterator_per_loop only support 1 when using OneShotIterator");
      works = works || !IsOnHost(*node);
    }
    return works ? AddGeOp(graph, "GeOp" + std::to_string(graphs++) + "_0") : Status::OK();
  }

  // Everything that waits for nothing waits for the device.
  static Status AddGeOp(Graph* graph, const string& name) {
    NodeDef def;
    def.set_name(name);
    def.set_op("GeOp");
    Status status;
    Node* device = graph->AddNode(def, &status);
    if (!status.ok()) return status;
    device->set_assigned_device_name("/job:localhost/replica:0/task:0/device:CPU:0");
    for (Node* node : graph->op_nodes()) {
      bool waits = node == device;
      for (const Edge* edge : node->in_edges()) waits = waits || !edge->src()->IsSource();
      if (!waits) graph->AddControlEdge(device, node);
    }
    FixupSourceAndSinkEdges(graph);
    return Status::OK();
  }
};

REGISTER_OP("GeOp").SetIsStateful();
REGISTER_OP("NPUInit").SetIsStateful();
REGISTER_OP("NPUShutdown").SetIsStateful();
REGISTER_KERNEL_BUILDER(Name("GeOp").Device(DEVICE_CPU), OnDevice);
REGISTER_KERNEL_BUILDER(Name("NPUInit").Device(DEVICE_CPU), OnDevice);
REGISTER_KERNEL_BUILDER(Name("NPUShutdown").Device(DEVICE_CPU), OnDevice);
REGISTER_OPTIMIZATION(OptimizationPassRegistry::POST_REWRITE_FOR_EXEC, 3, OMPartitionSubgraphsPass);

}  // namespace
}  // namespace tensorflow
