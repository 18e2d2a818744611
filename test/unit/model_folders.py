# SPDX-License-Identifier: Apache-2.0
"""Small folders of models, as ModelZoo's are: one that keeps its rules, one like its RCAN."""

FULL, PERFORMANCE = 'test/train_full_1p.sh', 'test/train_performance_1p.sh'
NAME = 'Tiny_ID0001_for_TensorFlow'
LEVEL = 'FuncStatus:OK\nPerfStatus:OK\nPrecisionStatus:OK\n'

README = """# Tiny
## 基本信息
## 概述
## 训练环境准备
## 快速上手
Bring images.
## 高级参考
| | NPU |
|---|---|
| FPS | 32.0 |
## 迁移学习指导
"""

TESTCASE = """#!/bin/bash
if bash train_full_1p.sh --data_path=$1; then
    echo "Run testcase success!"
else
    echo "Run testcase failed!"
    exit 1
fi
"""

# The first of ModelZoo's two families of scripts, mended.
GOOD = r"""#!/bin/bash
cur_path=`pwd`
export RANK_SIZE=1
export ASCEND_DEVICE_ID=${ASCEND_DEVICE_ID:-0}
data_path=""
Network="Tiny_ID0001_for_TensorFlow"
batch_size=16
max_step=102
precision_mode="allow_mix_precision"

if [[ $1 == --help || $1 == -h ]];then
    echo "usage: bash train_KIND_1p.sh --data_path=DIR"
    exit 0
fi

for para in "$@"
do
    if [[ $para == --precision_mode=* ]];then
        precision_mode=`echo ${para#*=}`
    elif [[ $para == --batch_size=* ]];then
        batch_size=`echo ${para#*=}`
    elif [[ $para == --max_step=* ]];then
        max_step=`echo ${para#*=}`
    elif [[ $para == --data_path=* ]];then
        data_path=`echo ${para#*=}`
    else
        echo "unknown argument $para"
        exit 2
    fi
done

if [[ $data_path == "" ]];then
    echo "[Error] para \"data_path\" must be config"
    exit 1
fi
if [[ ! -d $data_path ]];then
    echo "no folder $data_path"
    exit 1
fi

start=$(date +%s)
rm -rf $cur_path/output/$ASCEND_DEVICE_ID
mkdir -p $cur_path/output/$ASCEND_DEVICE_ID/ckpt
nohup python3 $cur_path/../main.py \
    --batch_size $batch_size \
    --max_step $max_step \
    --precision_mode $precision_mode \
    --data_path $data_path > $cur_path/output/$ASCEND_DEVICE_ID/train_$ASCEND_DEVICE_ID.log 2>&1 &
wait $!
status=$?
if [[ $status != 0 ]];then
    exit $status
fi

log=$cur_path/output/$ASCEND_DEVICE_ID/train_$ASCEND_DEVICE_ID.log
step_time=`grep "Elpased" $log |
    awk 'NR > 5 { sum += $NF; n++ } END { printf "%.2f", 1000 * sum / n }'`
FPS=`awk 'BEGIN { printf "%.2f", '$batch_size' * 1000 / '$step_time' }'`
train_accuracy=`grep "Final PSNR" $log | awk '{ print $NF }'`
CaseName=${Network}_bs${batch_size}_${RANK_SIZE}p_SUFFIX
losses=$cur_path/output/$ASCEND_DEVICE_ID/train_${CaseName}_loss.txt
grep "Loss :" $log | awk '{ print $NF }' > $losses
ActualLoss=`tail -n 1 $losses`
end=$(date +%s)
e2e_time=$(( end - start ))
echo "Network = ${Network}" > $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "RankSize = ${RANK_SIZE}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "BatchSize = ${batch_size}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "DeviceType = `uname -m`" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "CaseName = ${CaseName}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualFPS = ${FPS}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainAccuracy = ${train_accuracy}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainingTime = ${step_time}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualLoss = ${ActualLoss}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "E2ETrainingTime = ${e2e_time}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
"""

# The same family with the defects of ModelZoo's RCAN, each in the words that make it one.
RCAN = r"""#!/bin/bash

cur_path=`pwd`

export RANK_SIZE=1
export JOB_ID=10087
RANK_ID_START=0

data_path=""

Network="RCAN_ID0268_for_TensorFlow"
train_epochs=6
batch_size=16
train_steps=1000
learning_rate=1e-4

precision_mode="allow_fp32_to_fp16"
over_dump=False
data_dump_flag=False
data_dump_step="10"
profiling=False

if [[ $1 == --help || $1 == -h ]];then
    echo"usage:./train_full_1p.sh <args>"
    echo " "
    echo "parameter explain:
    --precision_mode         precision mode
    --data_path		           source data of training
    -h/--help		             show help message
    "
    exit 1
fi

for para in $*
do
    if [[ $para == --precision_mode* ]];then
        precision_mode=`echo ${para#*=}`
    elif [[ $para == --over_dump* ]];then
        over_dump=`echo ${para#*=}`
        over_dump_path=${cur_path}/output/overflow_dump
        mkdir -p ${over_dump_path}
    elif [[ $para == --profiling* ]];then
        profiling=`echo ${para#*=}`
        profiling_dump_path=${cur_path}/output/profiling
        mkdir -p ${profiling_dump_path}
    elif [[ $para == --max_step* ]];then
        max_step=`echo ${para#*=}`
    elif [[ $para == --batch* ]];then
        batch_size=`echo ${para#*=}`
    elif [[ $para == --loss_scale* ]];then
        loss_scale=`echo ${para#*=}`
    elif [[ $para == --data_path* ]];then
        data_path=`echo ${para#*=}`
    fi
done

if [[ $data_path == "" ]];then
    echo "[Error] para \"data_path\" must be confing"
    exit 1
fi

cd $cur_path/../
start_time=$(date +%s)
for((RANK_ID=$RANK_ID_START;RANK_ID<$((RANK_SIZE+RANK_ID_START));RANK_ID++));
do
    export RANK_ID=$RANK_ID

    if [ -d ${cur_path}/output/${ASCEND_DEVICE_ID} ];then
        rm -rf ${cur_path}/output/${ASCEND_DEVICE_ID}
        mkdir -p ${cur_path}/output/$ASCEND_DEVICE_ID/ckpt
    else
        mkdir -p ${cur_path}/output/$ASCEND_DEVICE_ID/ckpt
    fi

    nohup python3.7 ./main.py \
        --train_GT_path=${data_path}/DIV2K_train_HR \
        --train_LR_path=${data_path}/DIV2K_train_LR_bicubic/X2 \
        --max_step 102 > ${cur_path}/output/${ASCEND_DEVICE_ID}/train_${ASCEND_DEVICE_ID}.log 2>&1 &
    if [ $? -eq 0 ];then
        echo "started"
    fi
done
wait
end_time=$(date +%s)
e2e_time=$(( $end_time - $start_time ))

echo "------------------ Final result ------------------"
log=$cur_path/output/$ASCEND_DEVICE_ID/train_$ASCEND_DEVICE_ID.log
step_sec=`grep "Elpased time" $log |awk 'END {print $4}'`
FPS=`awk 'BEGIN{printf "%.2f\n", '${batch_size}'/'${step_sec}'}'`
echo "Final Performance images/sec : $FPS"

train_accuracy="None"
echo "Final Train Accuracy : ${train_accuracy}"
echo "E2E Training Duration sec : $e2e_time"

BatchSize=${batch_size}
DeviceType=`uname -m`
CaseName=${Network}_bs${BatchSize}_${RANK_SIZE}p_'acc'

ActualFPS=${FPS}
TrainingTime=${step_sec}

losses=$cur_path/output/$ASCEND_DEVICE_ID/${CaseName}_loss.txt
grep "Loss :" $log|awk '{print $3}' >> $losses
ActualLoss=`tail -n 5 $losses|sort -n|head -1`

echo "Network = ${Network}" > $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "RankSize = ${RANK_SIZE}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "BatchSize = ${BatchSize}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "DeviceType = ${DeviceType}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "CaseName = ${CaseName}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualFPS = ${ActualFPS}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainingTime = ${TrainingTime}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualLoss = ${ActualLoss}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainAccuracy = ${train_accuracy}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "E2ETrainingTime = ${e2e_time}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
"""

# The second family: cwd-independent, named by its own path and name, with a branch for ModelArts.
CONTRIBUTED = r"""#!/bin/bash
# shell脚本所在路径
cur_path=`echo $(cd $(dirname $0);pwd)`
perf_flag=`echo $0 | grep performance | wc -l`
Network=`echo $(cd $(dirname $0);pwd) | awk -F"/" '{print $(NF-1)}'`
export RANK_SIZE=1
export RANK_ID=0
export JOB_ID=10087
data_path=""
output_path=""

if [[ $1 == --help || $1 == -h ]];then
    echo "usage:./train_performance_1P.sh <args>"
    exit 1
fi
for para in $*
do
    if [[ $para == --data_path* ]];then
        data_path=`echo ${para#*=}`
    elif [[ $para == --output_path* ]];then
        output_path=`echo ${para#*=}`
    fi
done
# 校验是否传入data_path,不需要修改
if [[ $data_path == "" ]];then
    echo "[Error] para \"data_path\" must be config"
    exit 1
fi
if [[ $output_path == "" ]];then
    output_path="./test/output/${ASCEND_DEVICE_ID}"
fi
print_log="./test/output/${ASCEND_DEVICE_ID}/train_${ASCEND_DEVICE_ID}.log"
modelarts_flag=${MODELARTS_MODEL_PATH}
if [ x"${modelarts_flag}" != x ];
then
    print_log_name=`ls /home/ma-user/modelarts/log/ | grep proc-rank`
    print_log="/home/ma-user/modelarts/log/${print_log_name}"
fi
echo "### get your log here : ${print_log}"

CaseName=""
function get_casename()
{
    if [ x"${perf_flag}" = x1 ];
    then
        CaseName=${Network}_bs${batch_size}_${RANK_SIZE}'p'_'perf'
    else
        CaseName=${Network}_bs${batch_size}_${RANK_SIZE}'p'_'acc'
    fi
}

cd ${cur_path}/../
rm -rf ./test/output/${ASCEND_DEVICE_ID}
mkdir -p ./test/output/${ASCEND_DEVICE_ID}
start_time=$(date +%s)
batch_size=16
python3.7 ./train.py --data_path=${data_path} --output_path=${output_path} 1>${print_log} 2>&1

StepTime=`grep "Elpased" ${print_log} | tail -n 10 | awk '{sum+=$NF} END {print sum/NR}'`
FPS=`awk 'BEGIN{printf "%.2f\n", '${batch_size}'/'${StepTime}'}'`
train_accuracy=`grep "Final PSNR" ${print_log} | awk '{print $NF}'`
grep "Loss :" ${print_log} | awk '{print $NF}' > \
    ./test/output/${ASCEND_DEVICE_ID}/my_output_loss.txt
end_time=$(date +%s)
e2e_time=$(( $end_time - $start_time ))
DeviceType=`uname -m`
ActualFPS=${FPS}
TrainingTime=`awk 'BEGIN{printf "%.2f\n", '${batch_size}'*1000/'${FPS}'}'`
get_casename
mv ./test/output/${ASCEND_DEVICE_ID}/my_output_loss.txt \
    ./test/output/${ASCEND_DEVICE_ID}/${CaseName}_loss.txt
ActualLoss=`awk 'END {print $1}' ./test/output/$ASCEND_DEVICE_ID/${CaseName}_loss.txt`
echo "Network = ${Network}" > ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "RankSize = ${RANK_SIZE}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "BatchSize = ${batch_size}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "DeviceType = ${DeviceType}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "CaseName = ${CaseName}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualFPS = ${ActualFPS}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainAccuracy = ${train_accuracy}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainingTime = ${TrainingTime}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualLoss = ${ActualLoss}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "E2ETrainingTime = ${e2e_time}" >> ./test/output/$ASCEND_DEVICE_ID/${CaseName}.log
"""


def make(parent, name=NAME):
    """A folder that keeps every rule."""
    root = parent / name
    (root / 'test').mkdir(parents=True)
    files = {
        'README.md': README, 'LICENSE': 'Apache License\n', 'requirements.txt': 'numpy==1.19.5\n',
        'modelzoo_level.txt': LEVEL, 'test/env.sh': 'export JOB_ID=10087\n',
        'test/train_testcase.sh': TESTCASE,
        'main.py': '# SPDX-License-Identifier: Apache-2.0\nprint("trained")\n',
        FULL: GOOD.replace('KIND', 'full').replace('SUFFIX', 'acc'),
        PERFORMANCE: GOOD.replace('KIND', 'performance').replace('SUFFIX', 'perf')}
    for path, text in files.items():
        (root / path).write_text(text, encoding='utf-8')
    return root


def rcan_id0268(parent):
    """The folder of ModelZoo's RCAN, in miniature."""
    root = make(parent, 'RCAN_ID0268_for_TensorFlow')
    (root / 'test/train_testcase.sh').unlink()
    (root / FULL).write_text(RCAN)
    # Its performance script has no accuracy at all.
    (root / PERFORMANCE).write_text('\n'.join(
        line for line in RCAN.replace("p_'acc'", "p_'perf'").splitlines()
        if 'TrainAccuracy =' not in line) + '\n')
    return root


def contributed(parent):
    """A folder whose two scripts are equal, for they look at their own names."""
    root = make(parent)
    for path in (FULL, PERFORMANCE):
        (root / path).write_text(CONTRIBUTED, encoding='utf-8')
    return root
