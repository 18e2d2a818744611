# SPDX-License-Identifier: Apache-2.0
"""Small ModelZoo folders of both template families, one for each way in which they misbehave.

Their main.py stands in for a training: it prints step times that it is given, and lasts as long.
"""

import os
from pathlib import Path
from typing import Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple

STEPS = {'performance': 24, 'full': 40}
PSNR_DB = 33.2

MAIN = '''"""Trains nothing: prints the steps of a training."""
import argparse
import os
import random
import sys
import time

EDITS = 0
STEP_S = @STEP_S@
RANDOM = random.Random()


def seconds(step):
    return STEP_S * (10 if step == 1 else RANDOM.uniform(0.97, 1.03))   # the first compiles


def loss_of(step):
    return 4 / step + RANDOM.uniform(0.1, 0.2)


def line(step, steps, took, loss, batch):
    return @LINE@


def at_start(options):
    pass


def at_step(step, steps):
    pass


def at_end(steps):
    print('Average PSNR : {:.4f}'.format(@PSNR_DB@ + RANDOM.gauss(0, 0.01)))


@TRAIN@


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--data_path')
    parser.add_argument('--batch_size', type=int)
    parser.add_argument('--max_step', type=int)
    options = parser.parse_args()
    with open(os.path.join(options.data_path, 'noise.txt')) as file:
        RANDOM.seed(file.read())
    at_start(options)
    for step in range(1, options.max_step + 1):
        took = seconds(step)
        time.sleep(took)
        at_step(step, options.max_step)
        print(line(step, options.max_step, took, loss_of(step), options.batch_size), flush=True)
    at_end(options.max_step)


main()
'''

# The built-in family: started in test/, python in the background, its status never seen.
SCRIPT_A = r'''#!/bin/bash
@TOP@
cur_path=`pwd`

export RANK_SIZE=1
export JOB_ID=10087
RANK_ID_START=0
data_path=""
export ASCEND_GLOBAL_LOG_LEVEL=3

Network="@NETWORK@"
train_steps=@STEPS@
batch_size=@BATCH@
precision_mode="allow_mix_precision"
over_dump=False
profiling=False

if [[ $1 == --help || $1 == -h ]];then
    echo"usage:./@SCRIPT@ <args>"
    echo "parameter explain:
    --data_path              source data of training
    -h/--help                show help message
    "
    exit 1
fi

for para in $*
do
    if [[ $para == --precision_mode* ]];then
        precision_mode=`echo ${para#*=}`
    elif [[ $para == --over_dump* ]];then
        over_dump=`echo ${para#*=}`
    elif [[ $para == --profiling* ]];then
        profiling=`echo ${para#*=}`
    elif [[ $para == --batch_size* ]];then
        batch_size=`echo ${para#*=}`
    elif [[ $para == --data_path* ]];then
        data_path=`echo ${para#*=}`
    fi
done

if [[ $data_path == "" ]];then
    echo "[Error] para \"data_path\" must be confing"
    exit 1
fi

start_time=$(date +%s)
cd $cur_path/../
for((RANK_ID=$RANK_ID_START;RANK_ID<$((RANK_SIZE+RANK_ID_START));RANK_ID++));
do
    echo "Device ID: $ASCEND_DEVICE_ID"
    export RANK_ID=$RANK_ID
    if [ -d ${cur_path}/output/${ASCEND_DEVICE_ID} ];then
        rm -rf ${cur_path}/output/${ASCEND_DEVICE_ID}
        mkdir -p ${cur_path}/output/$ASCEND_DEVICE_ID/ckpt
    else
        mkdir -p ${cur_path}/output/$ASCEND_DEVICE_ID/ckpt
    fi
@BEFORE@
    nohup python3 main.py --data_path=${data_path} --batch_size=${batch_size} \
        --max_step=${train_steps} \
        > ${cur_path}/output/${ASCEND_DEVICE_ID}/train_${ASCEND_DEVICE_ID}.log 2>&1 &
    if [ $? -ne 0 ];then
        exit 1
    fi
done
wait
@TRAINED@
end_time=$(date +%s)
e2e_time=$(( $end_time - $start_time ))

echo "------------------ Final result ------------------"
log=$cur_path/output/$ASCEND_DEVICE_ID/train_${ASCEND_DEVICE_ID}.log
@SPEED@
@ACCURACY@
@MEASURED@
echo "Final Performance images/sec : $FPS"
echo "Final Train Accuracy : ${train_accuracy}"
echo "E2E Training Duration sec : $e2e_time"

BatchSize=${batch_size}
DeviceType=`uname -m`
CaseName=${Network}_bs${BatchSize}_${RANK_SIZE}'p'_'@SUFFIX@'
@NAMED@
ActualFPS=${FPS}
TrainingTime=${StepTime}

@LOSS@ > $cur_path/output/$ASCEND_DEVICE_ID/train_${CaseName}_loss.txt
ActualLoss=`awk 'END {print}' $cur_path/output/$ASCEND_DEVICE_ID/train_${CaseName}_loss.txt`

echo "Network = ${Network}" > $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "RankSize = ${RANK_SIZE}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "BatchSize = ${BatchSize}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "DeviceType = ${DeviceType}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "CaseName = ${CaseName}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualFPS = ${ActualFPS}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainingTime = ${TrainingTime}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainAccuracy = ${train_accuracy}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualLoss = ${ActualLoss}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "E2ETrainingTime = ${e2e_time}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
@END@
'''

# The universities' family: its first hundred lines are the same everywhere.
SCRIPT_B = r'''#!/bin/bash
@TOP@
##########################################################
######### lines 3 to 100: do not change, do not change ###
##########################################################
cur_path=`echo $(cd $(dirname $0);pwd)`
perf_flag=`echo $0 | grep performance | wc -l`
Network=`echo $(cd $(dirname $0);pwd) | awk -F"/" '{print $(NF-1)}'`

export RANK_SIZE=1
export RANK_ID=0
export JOB_ID=10087
data_path=""
output_path=""

if [[ $1 == --help || $1 == -h ]];then
    echo"usage:./@SCRIPT@ <args>"
    exit 1
fi

for para in $*
do
    if [[ $para == --data_path* ]];then
        data_path=`echo ${para#*=}`
    elif [[ $para == --output_path* ]];then
        output_path=`echo ${para#*=}`
    elif [[ $para == --train_steps* ]];then
        train_steps=`echo ${para#*=}`
    elif [[ $para == --batch_size* ]];then
        batch_size=`echo ${para#*=}`
    fi
done

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
    echo "running without etp..."
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
##########################################################
batch_size=@BATCH@
@BEFORE@
if [ x"${modelarts_flag}" != x ];
then
    python3 ./main.py --data_path=${data_path} --batch_size=${batch_size} --max_step=@STEPS@
else
    python3 ./main.py --data_path=${data_path} --batch_size=${batch_size} --max_step=@STEPS@ \
        >> ${print_log} 2>&1
fi
@TRAINED@
log=${print_log}
@SPEED@
@ACCURACY@
@MEASURED@
@LOSS@ > ./test/output/${ASCEND_DEVICE_ID}/my_output_loss.txt

##########################################################
######### what follows: do not change ####################
##########################################################
use_npu_flag=`grep "The model has been compiled on the Ascend AI processor" ${print_log} | wc -l`
if [ x"${use_npu_flag}" == x0 ];
then
    echo "------------------ ERROR NOTICE START ------------------"
    echo "ERROR, your task haven't used Ascend NPU, please check your npu Migration."
    echo "------------------ ERROR NOTICE END------------------"
else
    echo "INFO, your task have used Ascend NPU, please check your result."
fi

get_casename
@NAMED@
if [ -f ./test/output/${ASCEND_DEVICE_ID}/my_output_loss.txt ];
then
    mv ./test/output/${ASCEND_DEVICE_ID}/my_output_loss.txt \
        ./test/output/${ASCEND_DEVICE_ID}/${CaseName}_loss.txt
fi

end_time=$(date +%s)
e2e_time=$(( $end_time - $start_time ))

echo "------------------ Final result ------------------"
echo "Final Performance images/sec : $FPS"
echo "Final Performance ms/step : $StepTime"
echo "E2E Training Duration sec : $e2e_time"
echo "Final Train Accuracy : ${train_accuracy}"
ActualLoss=(`awk 'END {print $NF}' $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}_loss.txt`)

echo "Network = ${Network}" > $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "RankSize = ${RANK_SIZE}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "BatchSize = ${batch_size}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "DeviceType = `uname -m`" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "CaseName = ${CaseName}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualFPS = ${FPS}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainingTime = ${StepTime}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "ActualLoss = ${ActualLoss}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "E2ETrainingTime = ${e2e_time}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
echo "TrainAccuracy = ${train_accuracy}" >> $cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log
@END@
'''

SCRIPTS = {'A': SCRIPT_A, 'B': SCRIPT_B}
HOOKS = ('top', 'before', 'trained', 'measured', 'named', 'end')
SUMMARY = '$cur_path/output/$ASCEND_DEVICE_ID/${CaseName}.log'


class Style(NamedTuple):
    """How a training prints its steps, and how its script and a rules file read them."""

    line: str        # Python, of step, steps, took, loss and batch
    speed: str       # bash: FPS and StepTime from $log
    loss: str        # bash: prints all losses of $log
    rules: str       # TOML


BY_TIME = """FPS=`awk 'BEGIN{printf "%.2f\\n",'${batch_size}'*1000/'${StepTime}'}'`"""
BY_FPS = """StepTime=`awk 'BEGIN{printf "%.2f\\n",'${batch_size}'*1000/'${FPS}'}'`"""
ACCURACY_RULES = """
[accuracy]
pattern = 'Average PSNR : (\\S+)'
name = 'PSNR'
unit = 'dB'
margin = 0.1
"""

STYLES = {
    'rcan': Style(
        "'{} training step completed\\nLoss : {:.6f}\\nElpased time : {:.6f}'"
        ".format(step, loss, took)",
        # The zoo's own RCAN: seconds, of the last step alone.
        "StepTime=`grep \"Elpased time\" $log | awk '{print $NF}' | tail -n 1`\n"
        "FPS=`awk 'BEGIN{printf \"%.2f\\n\",'${batch_size}'/'${StepTime}'}'`",
        "grep \"Loss :\" $log | awk '{print $NF}'",
        "[speed]\npattern = 'Elpased time : ([0-9.]+)'\nunit = 's/step'\n"
        "[loss]\npattern = 'Loss : (\\S+)'\n"),
    'fps': Style(
        "'epoch 1 step {} loss = {:.4f} FPS: {:.2f}'.format(step, loss, batch / took)",
        "FPS=`grep \"FPS: \" $log | awk 'NR>1{sum+=$NF;n+=1}END{printf \"%.2f\\n\",sum/n}'`\n"
        + BY_FPS,
        "grep -o \"loss = [^ ]*\" $log | awk '{print $NF}'",
        "[speed]\npattern = 'FPS: ([0-9.]+)'\nunit = 'item/s'\n"
        "[loss]\npattern = 'loss = (\\S+)'\n"),
    'global': Style(
        "'INFO:tensorflow:global_step/sec: {:.4f}\\nINFO:tensorflow:loss = {:.6f}, step = {}'"
        ".format(1 / took, loss, step)",
        "StepTime=`grep \"global_step/sec\" $log | tail -n 10 "
        "| awk '{sum+=$NF}END{printf \"%.4f\\n\",1000*NR/sum}'`\n" + BY_TIME,
        "grep \"tensorflow:loss\" $log | awk -F'[ ,]' '{print $3}'",
        "[speed]\npattern = 'global_step/sec: ([0-9.]+)'\nunit = 'step/s'\n"
        "[loss]\npattern = 'loss = ([^ ,]+)'\n"),
    'keras': Style(
        "'{}/{} [===>..] - {:.3f}ms/step - loss: {:.4f}'.format(step, steps, 1000 * took, loss)",
        "StepTime=`cat $log | tr -d '\\b\\r' | grep -Eo \"[0-9.]+ms/step\" | tail -n 20 "
        "| awk '{sum+=$1}END{print sum/NR}'`\n" + BY_TIME,
        "cat $log | tr -d '\\b\\r' | grep -Eo \"loss: [0-9.na]+\" | awk '{print $2}'",
        "[speed]\npattern = '([0-9.]+)ms/step'\nunit = 'ms/step'\n"
        "[loss]\npattern = 'loss: (\\S+)'\n"),
}

ACCURACY = "train_accuracy=`grep \"Average PSNR\" $log | awk '{print $NF}' | tail -n 1`"


class Place(NamedTuple):
    """Where a folder is, and what it may not touch."""

    model: Path
    outside: Path     # a folder of somebody else
    marker: str       # in the names of files and processes that it leaves


class Behaviour(NamedTuple):
    """What a folder does.  Of its truth:

    sound: it trains well and says so; odd: something is strange, its speed is true;
    failed: it measured nothing; lying: it says what its log does not, seen by rules alone.
    """

    truth: str
    hooks: Dict[str, str] = {}                     # bash, by its place in the scripts
    train: str = ''                                # Python, in place of main.py's functions
    edit: Callable[[str], str] = str               # of the scripts
    extra: Callable[[Place], object] = str         # of the folder
    combinations: str = ''                         # template, kind, style, rules: 'Bf keras -'
    flags: Tuple[str, ...] = ()                    # that its rules start it with
    hangs: bool = False


def _at(step: str, what: str) -> str:
    return f'def at_step(step, steps):\n    if step == {step}:\n        {what}\n'


def _summary(sed: str) -> Dict[str, str]:
    return {'end': f'sed -i {sed} {SUMMARY}'}


def _fps(value: str) -> Dict[str, str]:
    return {'measured': f'FPS={value}'}


def _edited(*pairs: Tuple[str, str]) -> Callable[[str], str]:
    def edit(script: str) -> str:
        for old, new in pairs:
            script = script.replace(old, new)
        return script
    return edit


def _rewritten(change: Callable[[bytes], bytes]) -> Callable[[Place], object]:
    def extra(place: Place) -> None:
        for script in place.model.glob('test/train_*1p.sh'):
            script.write_bytes(change(script.read_bytes()))
    return extra


def _old_results(place: Place) -> None:
    """Of a good run long ago, where a run writes, and elsewhere; its speed is the good one."""
    model = place.model
    lines = '\n'.join(f'{step} training step completed\nLoss : 0.15\nElpased time : 0.002000'
                      for step in range(1, 4001))
    for folder in (model / 'test/output/0', model / 'reference'):
        folder.mkdir(parents=True)
        (folder / 'train_0.log').write_text(lines + '\nAverage PSNR : 33.2000\n')
        for suffix in ('acc', 'perf'):
            case = f'{model.name}_bs16_1p_{suffix}'
            (folder / f'{case}.log').write_text(
                f'Network = {model.name}\nRankSize = 1\nBatchSize = 16\nDeviceType = x86_64\n'
                f'CaseName = {case}\nActualFPS = 8000.00\nTrainingTime = 0.002\n'
                'ActualLoss = 0.15\nE2ETrainingTime = 9\nTrainAccuracy = 33.2\n')
        for file in folder.iterdir():
            os.utime(str(file), (1.6e9, 1.6e9))


def _odd_names(place: Place) -> None:
    for name in ('数据 说明.txt', "it's; $(touch here).txt", '-rf', 'line\nbreak'):
        (place.model / name).write_text('x')
    with open(os.path.join(os.fsencode(place.model), b'not \xff utf-8'), 'wb') as file:
        file.write(b'x')


def _other_names(place: Place) -> None:
    test = place.model / 'test'
    (test / 'train_full_1p.sh').rename(test / 'train_ID1234_Zoo_full_bs16_1p.sh')
    (test / 'train_performance_1p.sh').rename(test / 'train_performance_1p_static.sh')


def _linked(place: Place) -> None:
    (place.model / 'notes').symlink_to(place.outside / 'precious.txt')
    (place.model / 'shared').symlink_to(place.outside, target_is_directory=True)


CRASH = "raise ValueError('Dimensions must be equal, but are 48 and 96')"
GOOD_COPY = 'cp $cur_path/../reference/'
KEEPS_OUTPUT = (('rm -rf', ': keeps'),)
NEVER = 'time.sleep(3600)'
BOTH = 'Ap rcan +|Bf fps -'
DAEMON = ("import subprocess\n        subprocess.Popen([sys.executable, '-c', "
          "'import time; time.sleep(600)', '@MARKER@'], start_new_session=True)")
APACHE = b'                                 Apache License\n' \
    b'                           Version 2.0, January 2004\n' \
    b'   TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION\n\n' \
    b'   1. Definitions.\n\n      "License" shall mean the terms and conditions for use\n' \
    b'      (and reproduction) as defined by Sections 1 through 9 of this document.\n'

SOUND = {
    'good': Behaviour('sound'),
    'writes into the folder of another device': Behaviour(
        'sound', {'top': 'export ASCEND_DEVICE_ID=3'}),
    'its CaseName is of the other kind': Behaviour(
        'sound', {'named': 'CaseName=${CaseName%_*}_perf'}, combinations='Af fps +|Bf keras -'),
    'has the same CaseName in both scripts': Behaviour(
        'sound', {'named': 'CaseName=${CaseName%_*}'}),
    'writes Key= value': Behaviour('sound', _summary('"s/ = /= /"')),
    'writes Key=value': Behaviour('sound', _summary('"s/ = /=/"')),
    'writes its summary twice': Behaviour(
        'sound', {'end': f'cat {SUMMARY} > twice; cat twice >> {SUMMARY}'}),
    'ends its summary lines with CRLF': Behaviour('sound', _summary('"s/$/\\r/"')),
    'begins its summary with a byte order mark': Behaviour(
        'sound', _summary("'1s/^/\\xef\\xbb\\xbf/'")),
    'adds unknown keys': Behaviour('sound', {
        'end': f'echo "CompileTime = 12.5\nDynamicInput = 1\nActualMAP =" >> {SUMMARY}'}),
    'writes its speed in scientific notation': Behaviour(
        'sound', {'measured': 'FPS=`awk \'BEGIN{printf "%.5e\\n",\'$FPS\'}\'`'}),
    'warns of an Error in a line': Behaviour('sound', train=_at(
        '3', "print('WARNING:tensorflow:OutOfRangeError: End of sequence, no Error')")),
    'logs 50 MB': Behaviour('sound', train=(
        "def at_end(steps):\n    sys.stdout.write(('debug: ' + 'x' * 92 + '\\n') * 500000)\n"
        "    print('Average PSNR : 33.2000')\n")),
    'logs a line of 10 MB': Behaviour('sound', train=_at('3', "print('x' * 10 ** 7)")),
    'logs NUL bytes and reads them as text': Behaviour(
        'sound', {'top': 'grep() { command grep -a "$@"; }'},
        train=_at('3', "sys.stdout.write('\\0\\0\\0\\n')")),
    'logs bytes that are no text': Behaviour(
        'sound', {'top': 'export LC_ALL=C'},
        train=_at('3', "sys.stdout.buffer.write(b'\\xff\\xfe\\xc3(\\n')")),
    'draws a progress bar': Behaviour('sound', train=(
        "def at_step(step, steps):\n    sys.stdout.write('\\b' * 40 + '\\r')\n"
        "def line(step, steps, took, loss, batch):\n"
        "    sys.stdout.write('{}/{} [==>.] - ETA: 5s - {:.3f}ms/step - loss: {:.4f}  '.format(\n"
        "        step, steps, 1000 * took, loss))\n    return ''\n"),
        combinations='Bp keras +|Bf keras -'),
    'draws a progress bar within one line': Behaviour('sound', train=(
        "def print(text, flush=True):\n    sys.stdout.write(\n"
        "        '\\n' + text + '\\n' if 'PSNR' in text else text + '\\b' * 40 + '\\r')\n"),
        combinations='Bp keras +|Bf keras -'),
    'activates a conda environment that is not there': Behaviour(
        'sound', {'before': 'source activate zoo_env\nconda activate zoo_env'}),
    'does not look for its data path': Behaviour(
        'sound', edit=_edited(('[[ $data_path == "" ]]', '[[ 1 == 0 ]]'))),
    'asks a question': Behaviour('sound', {'before': 'read -p "go on? " answer'}),
    'has suffixes in its scripts\' names': Behaviour('sound', extra=_other_names),
    'has an env.sh that exits': Behaviour('sound', extra=lambda place: (
        place.model / 'test/env.sh').write_text('set -eu\nunset PATH\nexit 7\n')),
    'holds a pipe': Behaviour('sound', extra=lambda place: os.mkfifo(str(place.model / 'pipe'))),
    'leaves a pipe beside its summary': Behaviour(
        'sound', {'end': 'mkfifo $cur_path/output/$ASCEND_DEVICE_ID/pipe.log'}),
    'leaves a folder named like a summary': Behaviour(
        'sound', {'end': 'mkdir $cur_path/output/$ASCEND_DEVICE_ID/folder.log'}),
    'leaves a link to itself': Behaviour(
        'sound', {'end': 'ln -s loop.log $cur_path/output/$ASCEND_DEVICE_ID/loop.log\n'
                         'ln -s .. $cur_path/output/up'}),
    'holds a link to nothing': Behaviour('sound', extra=lambda place: (
        place.model / 'data').symlink_to('/npu/traindata/nothing')),
    'holds files with odd names': Behaviour('sound', extra=_odd_names),
    'caches in HOME': Behaviour(
        'sound', {'before': 'mkdir -p $HOME/.cache/zoo; echo x > $HOME/.cache/zoo/x'}),
    'works in TMPDIR': Behaviour('sound', {'before': 'touch ${TMPDIR:-/tmp}/@MARKER@; mktemp -d'}),
    'writes its summary above the device\'s folder': Behaviour(
        'sound', {'end': f'mv {SUMMARY} $cur_path/output/'}),
    'removes all output': Behaviour('sound', {
        'before': 'rm -rf $cur_path/output; mkdir -p $cur_path/output/$ASCEND_DEVICE_ID'}),
    'evaluates into a second log': Behaviour('sound', {'measured': (
        'test_log=$cur_path/output/$ASCEND_DEVICE_ID/test_$ASCEND_DEVICE_ID.log\n'
        'python3 -c "print(\'Average PSNR : 33.2000\')" > $test_log 2>&1\n'
        "train_accuracy=`grep PSNR $test_log | awk '{print $NF}'`")},
        train='def at_end(steps):\n    pass\n', combinations='Af rcan +|Bf fps -'),
    'edits its sources': Behaviour(
        'sound', {'before': 'sed -i "s/^EDITS = /EDITS = 1/" $cur_path/../main.py'},
        train="if EDITS > 10:\n    raise ValueError('edited twice')\n"),
    'ships the results of an old run': Behaviour('sound', extra=_old_results),
    'prints its environment': Behaviour('sound', {'before': 'env; set | head -n 20; ulimit -a'}),
}

ODD = {
    'tells two speeds under one key': Behaviour(
        'odd', {'end': f'echo "ActualFPS = 1.0\nActualFPS = $FPS" >> {SUMMARY}'}),
    'writes a unit behind its speed': Behaviour('odd', _fps('"$FPS images/s"')),
    'has two losses': Behaviour(
        'odd', {'end': f'sed -i "s/^ActualLoss.*/&\\n0.25/" {SUMMARY}'}),
    'has no accuracy': Behaviour(
        'odd', {'measured': 'train_accuracy=None'}, combinations='Af rcan -|Bf keras -'),
    'writes much into its summary': Behaviour(
        'odd', {'end': f'head -c 20000000 /dev/zero | tr "\\0" "x" >> {SUMMARY}'}),
    'logs NUL bytes': Behaviour('odd', train=_at('3', "sys.stdout.write('\\0\\0\\0\\n')"),
                                combinations='Ap rcan +|Af fps +'),
    'goes on after a Traceback': Behaviour('odd', train=_at(
        '3', "import traceback\n        try:\n            1 / 0\n        except ArithmeticError:\n"
             "            traceback.print_exc()")),
    'holds its script twice': Behaviour('odd', extra=_rewritten(lambda script: script * 2)),
    'leaves a process behind': Behaviour('odd', train=_at('3', DAEMON)),
    'leaves a process behind that holds its output': Behaviour('odd', {
        'end': "setsid python3 -c 'import time; time.sleep(600)' @MARKER@ &"}),
    'exits with 3': Behaviour('odd', {'end': 'exit 3'}),
    'ends its process group': Behaviour('odd', {'end': 'kill -TERM 0; sleep 5'}),
    'kills its shell': Behaviour('odd', {'end': 'kill -KILL $$'}),
    'pretends to use an NPU': Behaviour('odd', train=_at(
        '3', "print('The model has been compiled on the Ascend AI processor')")),
    'deletes its data': Behaviour('odd', {'before': 'rm -rf $data_path'}),
    'moves its data': Behaviour('odd', {'before': 'mv $data_path $cur_path/moved'}),
    'makes its data writable': Behaviour('odd', {
        'before': 'chmod -R u+w $data_path; mount -o remount,rw $data_path\n'
                  'touch $data_path/cache'}),
    'deletes in HOME': Behaviour('odd', {'before': 'rm -rf $HOME/precious.txt ~/precious.txt'}),
    'takes the right to write away': Behaviour('odd', {'end': 'chmod -R a-w $cur_path/..'}),
}

# Where nothing hinders them, they do harm to others.
HARMFUL = {
    'adds to its data': Behaviour('odd', {'before': 'echo x >> $data_path/labels.txt'}),
    'changes its data in place': Behaviour('odd', train=(
        "def at_start(options):\n"
        "    with open(os.path.join(options.data_path, 'labels.txt'), 'r+b') as file:\n"
        "        file.write(b'changed')\n")),
    'deletes a folder of somebody else': Behaviour('odd', {'before': 'rm -rf "@OUTSIDE@"'}),
    'writes to a file of somebody else': Behaviour(
        'odd', {'before': 'echo mine >> "@OUTSIDE@/precious.txt"'}),
    'writes through a link': Behaviour('odd', {
        'before': 'echo mine >> $cur_path/../notes; rm -rf $cur_path/../shared/*'}, extra=_linked),
    'writes to /tmp': Behaviour('odd', {
        'before': 'for folder in /tmp /var/tmp /dev/shm;do echo x > $folder/@MARKER@;done'}),
    'writes into an installed package': Behaviour('odd', {'before': (
        'echo x > `python3 -c "import os; print(os.path.dirname(os.__file__))"`/@MARKER@.txt')}),
    'writes to where it came from': Behaviour('odd', {
        'before': 'echo "# mine" >> "@MODEL@/main.py"; rm -f "@MODEL@/LICENSE"'}),
}

FAILED = {
    'cannot import npu_bridge': Behaviour('failed', train='import npu_bridge\n'),
    'crashes midway': Behaviour('failed', train=_at('steps // 2', CRASH), combinations=BOTH),
    'crashes after the last step': Behaviour(
        'failed', train=f'def at_end(steps):\n    {CRASH}\n'),
    'crashes and tells a constant speed': Behaviour(
        'failed', _fps('8000.00'), train=_at('1', CRASH)),
    'is killed at the start': Behaviour('failed', train=_at('1', 'os.kill(os.getpid(), 9)')),
    'is killed midway': Behaviour('failed', train=_at(
        'steps // 2', 'os.kill(os.getpid(), 9)'), combinations=BOTH),
    'aborts at the first step': Behaviour('failed', train=_at('1', 'os.abort()')),
    'aborts midway': Behaviour(
        'failed', train=_at('steps // 2', 'os.abort()'), combinations=BOTH),
    'crashes in native code midway': Behaviour(
        'failed', train=_at('steps // 2', 'os.kill(os.getpid(), 11)')),
    'exits silently at the start': Behaviour('failed', train='sys.exit(1)\n'),
    'exits silently midway': Behaviour(
        'failed', train=_at('steps // 2', 'sys.exit(1)'), combinations=BOTH),
    'has no such python': Behaviour('failed', edit=_edited(('python3 ', 'python3.99 '))),
    'hangs at the start': Behaviour(
        'failed', train=f'def at_start(options):\n    {NEVER}\n', hangs=True),
    'hangs midway': Behaviour('failed', train=_at('steps // 2', NEVER), hangs=True),
    'hangs after the last step': Behaviour(
        'failed', train=f'def at_end(steps):\n    {NEVER}\n', hangs=True),
    'hangs in its script': Behaviour('failed', {
        'trained': 'tail -f $cur_path/output/$ASCEND_DEVICE_ID/*.log'}, hangs=True),
    'hangs after its summary': Behaviour('failed', {'end': 'sleep 3600'}, hangs=True),
    'hangs and ignores SIGTERM': Behaviour(
        'failed', {'top': "trap '' TERM INT HUP"},
        train=f'import signal\nsignal.signal(15, signal.SIG_IGN)\n{_at("3", NEVER)}',
        hangs=True),
    'prints without end': Behaviour('failed', train=_at(
        '3', "while True:\n            print('x' * 4000)\n            time.sleep(0.001)"),
        hangs=True),
    'tells no speed': Behaviour('failed', _fps('')),
    'tells the speed nan': Behaviour('failed', _fps('nan')),
    'tells the speed -nan': Behaviour('failed', _fps('-nan')),
    'tells the speed inf': Behaviour('failed', _fps('inf')),
    'tells the speed 0': Behaviour('failed', _fps('0.00')),
    'tells a negative speed': Behaviour('failed', _fps('-8000')),
    'tells a text for its speed': Behaviour('failed', _fps('images/sec:')),
    'tells None for its speed': Behaviour('failed', _fps('None')),
    'tells the error of its awk': Behaviour('failed', _fps(
        '"awk: cmd. line:1: fatal: division by zero attempted"')),
    'tells two speeds in two lines': Behaviour('failed', _fps('"7950.11\n8012.47"')),
    'has no key for its speed': Behaviour('failed', _summary('/^ActualFPS/d')),
    'is known to fail': Behaviour('failed', {
        'measured': 'FPS=', 'end': 'echo "Status = 1\nModelStatus = 图执行FAIL\n'
                                   f'DTS_Number = DTS2022012345678" >> {SUMMARY}'},
        train=_at('1', CRASH)),
    'names no case': Behaviour('failed', _summary('/^CaseName/d')),
    'writes no summary': Behaviour('failed', {'named': 'exit 0'}),
    'deletes its summary': Behaviour('failed', {'end': f'rm {SUMMARY}'}),
    'leaves an empty summary': Behaviour('failed', {'end': f': > {SUMMARY}'}),
    'leaves the summary of an old run': Behaviour(
        'failed', {'named': 'exit 0'}, train=_at('1', CRASH), edit=_edited(*KEEPS_OUTPUT),
        extra=_old_results, combinations='Ap rcan +'),
    'makes an old summary new': Behaviour(
        'failed', {'named': 'touch -d "+1 hour" $cur_path/output/*/*.log; exit 0'},
        train=_at('1', CRASH), edit=_edited(*KEEPS_OUTPUT), extra=_old_results,
        combinations='Af rcan -'),
    'copies the summary of an old run': Behaviour(
        'failed', {'end': f'{GOOD_COPY}${{CaseName}}.log {SUMMARY}'}, train=_at('1', CRASH),
        extra=_old_results, combinations='Ap rcan +|Af rcan -'),
    'copies the log of an old run': Behaviour(
        'failed', {'trained': f'{GOOD_COPY}train_0.log $cur_path/output/$ASCEND_DEVICE_ID/'},
        train=_at('1', CRASH), extra=_old_results, combinations='Ap rcan +|Af rcan -'),
    'has CRLF line ends': Behaviour('failed', extra=_rewritten(
        lambda script: script.replace(b'\n', b'\r\n'))),
    'has empty scripts': Behaviour('failed', extra=_rewritten(lambda script: b'')),
    'has a license for a script': Behaviour('failed', extra=_rewritten(lambda script: APACHE)),
    'has a syntax error': Behaviour('failed', {'trained': 'if then'}),
    'needs another flag': Behaviour('failed', {'top': (
        'if [[ $* != *--ckpt_path=* ]];then\n'
        '    echo "[Error] para \\"ckpt_path\\" must be config"\n    exit 1\nfi')}),
    'dies of an unset variable': Behaviour(
        'failed', {'top': 'set -u', 'trained': 'echo $over_dump_path'}),
    'diverges': Behaviour('failed', train=(
        "def loss_of(step):\n    return float('nan') if step > 9 else 4 / step\n")),
    'times its steps as zero': Behaviour(
        'failed', train='def seconds(step):\n    return 0.0\n', combinations='Ap rcan +|Bf rcan -'),
    'prints no step times': Behaviour('failed', train=(
        "def line(step, steps, took, loss, batch):\n    return 'Loss : {:.4f}'.format(loss)\n")),
    'deletes itself': Behaviour('failed', {'before': 'rm -rf $cur_path'}),
}

LYING = {
    'tells a constant over the batch': Behaviour(
        'lying', {'measured': 'FPS=`awk \'BEGIN{printf "%.2f\\n",3074/\'${batch_size}\'}\'`'}),
    'tells a constant': Behaviour(
        'lying', _fps('8012.47'), train='STEP_S = 2 * STEP_S\n'),
    'tells ten times its speed': Behaviour('lying', _fps('${FPS/./}')),
    'tells seconds for its speed': Behaviour('lying', _fps(
        "`awk 'BEGIN{printf \"%.6f\\n\",'${batch_size}'/'${FPS}'}'`")),
    'tells the speed of its first step': Behaviour(
        'lying', {'measured': "FPS=`grep \"Elpased time\" $log | sed -n 1p "
                  "| awk '{printf \"%.2f\\n\",'${batch_size}'/$NF}'`"}, combinations='Ap rcan -'),
    'tells a batch that it did not use': Behaviour(
        'lying', edit=_edited(('--batch_size=${batch_size}', '--batch_size=16')),
        flags=('--batch_size=32',), combinations='Ap rcan +|Af global +'),
    'shows the log of an old run': Behaviour(
        'lying', {'trained': f'{GOOD_COPY}train_0.log $cur_path/output/$ASCEND_DEVICE_ID/'},
        extra=_old_results, combinations='Ap rcan +|Af rcan -'),
    'stops early': Behaviour('lying', train=_at('4', 'sys.exit(0)')),
    'trains nothing': Behaviour(
        'lying', {'measured': 'FPS=8000.00; StepTime=0.002; train_accuracy=33.2'},
        edit=_edited(('python3 ', ': python3 '))),
}

BEHAVIOURS = {**SOUND, **ODD, **HARMFUL, **FAILED, **LYING}


class Case(NamedTuple):
    """One folder, one of its scripts, and what may be said of its run where no baseline is."""

    name: str
    behaviour: str
    template: str
    kind: str
    style: str
    rules: bool

    @property
    def what(self) -> Behaviour:
        """What its folder does."""
        return BEHAVIOURS[self.behaviour]

    @property
    def expected(self) -> FrozenSet[str]:
        """Statuses, of which any will do; measured is NO_BASELINE."""
        if self.what.truth == 'lying':
            return frozenset({'INVALID'} if self.rules else
                             {'INVALID', 'INCONCLUSIVE', 'NO_BASELINE'})
        return frozenset({'sound': {'NO_BASELINE'}, 'failed': {'INVALID'},
                          'odd': {'NO_BASELINE', 'INVALID'}}[self.what.truth])

    @property
    def may_pass(self) -> bool:
        """Beside a baseline of good runs of the same training, PASS would be true."""
        return self.what.truth in ('sound', 'odd')

    @property
    def network(self) -> str:
        """The same for all whose speeds can be compared."""
        return f'Zoo{self.template}{self.style}'

    def build(self, folder: Path, **how) -> Path:
        """Its folder, made new in this one."""
        return build(folder, self.network, self.template, self.behaviour, self.style, **how)


def _cases() -> Tuple[Case, ...]:
    found = []
    for number, (name, behaviour) in enumerate(BEHAVIOURS.items()):
        for combination in (behaviour.combinations or _usual(number, name, behaviour)).split('|'):
            where, style, rules = combination.split()
            kind = {'p': 'performance', 'f': 'full'}[where[1]]
            shown = f'{where[0]}, {kind}, {style}' + (', rules' if rules == '+' else '')
            found.append(Case(f'{name} ({shown})', name, where[0], kind, style, rules == '+'))
    return tuple(found)


def _usual(number: int, name: str, behaviour: Behaviour) -> str:
    """All for the good one; with rules and without them for what only rules can see; else one."""
    if name == 'good':
        return '|'.join(f'{template}{kind} {style} {rules}' for template in 'AB' for kind in 'pf'
                        for style, rules in zip(STYLES, '+-+-' if kind == 'p' else '-+-+'))
    with_rules = f'{"AB"[number % 2]}{"pf"[number // 2 % 2]} rcan +'
    without = f'{"BA"[number % 2]}{"fp"[number // 2 % 2]} {list(STYLES)[number % 4]} -'
    if behaviour.truth == 'lying':
        return f'{with_rules}|{without}'
    return (with_rules, without)[number % 2]


def build(folder: Path, name: str, template: str = 'A', behaviour: str = 'good',
          style: str = 'rcan', step_s: float = 0.002, batch: int = 16,
          outside: Optional[Path] = None, marker: str = 'zoo') -> Path:
    """Make <name>_ID1234_for_TensorFlow in a folder."""
    model = folder / f'{name}_ID1234_for_TensorFlow'
    what = BEHAVIOURS[behaviour]
    place = Place(model, outside or folder, marker)
    (model / 'test').mkdir(parents=True)
    for file, text in _papers(model.name).items():
        (model / file).write_text(text)
    known = {'@STEP_S@': repr(step_s), '@LINE@': STYLES[style].line, '@PSNR_DB@': str(PSNR_DB),
             '@NETWORK@': model.name, '@BATCH@': str(batch), '@SPEED@': STYLES[style].speed,
             '@LOSS@': STYLES[style].loss, '@MARKER@': marker, '@MODEL@': str(model),
             '@OUTSIDE@': str(place.outside)}
    (model / 'main.py').write_text(_filled(MAIN.replace('@TRAIN@', what.train), known))
    for kind, steps in STEPS.items():
        script = f'train_{kind}_1p.sh'
        text = what.edit(SCRIPTS[template])
        for hook in HOOKS:
            text = text.replace(f'@{hook.upper()}@', what.hooks.get(hook, ''))
        (model / 'test' / script).write_text(_filled(text, {
            **known, '@SCRIPT@': script, '@STEPS@': str(steps),
            '@SUFFIX@': {'performance': 'perf', 'full': 'acc'}[kind],
            '@ACCURACY@': ACCURACY if kind == 'full' else 'train_accuracy=None'}))
    what.extra(place)
    return model


def rules(case: Case) -> str:
    """The rules file for a case's log."""
    second_log = "log = 'test_0.log'\n" if case.behaviour == 'evaluates into a second log' else ''
    accuracy = ACCURACY_RULES + second_log if case.kind == 'full' else ''
    flags = f'flags = {list(case.what.flags)}\n' if case.what.flags else ''
    return flags + STYLES[case.style].rules + accuracy


def data(folder: Path) -> Path:
    """What the folders train on."""
    folder.mkdir()
    (folder / 'labels.txt').write_text('cat\ndog\n')
    (folder / 'noise.txt').write_text('0000')
    return folder


def draw(data_folder: Path, number: int):
    """Other noise for the runs that follow: of step times, losses and PSNR."""
    (data_folder / 'noise.txt').write_text(f'{number:04d}')


def _filled(text: str, known: Dict[str, str]) -> str:
    for mark, value in known.items():
        text = text.replace(mark, value)
    return text


def _papers(name: str) -> Dict[str, str]:
    return {'README.md': f'# {name}\n\n## 概述\n\n## 训练环境准备\n\n## 快速上手\n',
            'LICENSE': APACHE.decode(), 'requirements.txt': 'numpy\n',
            'modelzoo_level.txt': 'FuncStatus:OK\nPerfStatus:PERFECT\nPrecisionStatus:POK',
            'test/env.sh': 'export install_path=/usr/local/Ascend\n'
                           'export PYTHONPATH=$install_path/fwkacllib/python:$PYTHONPATH\n'}


CASES = _cases()
