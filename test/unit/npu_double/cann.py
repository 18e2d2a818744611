# SPDX-License-Identifier: Apache-2.0
"""A machine with an Ascend device, as files: CANN in each of its layouts, the driver, /dev.

The libraries are real ones: _tf_adapter.so is adapter.cc and needs CANN's libge_runner.so, which
needs the driver's libascend_hal.so, so that it loads only where the environment is right.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Dict, NamedTuple

HERE = Path(__file__).resolve().parent


class Layout(NamedTuple):
    """Where an era of CANN puts things, below /usr/local/Ascend."""

    version: str
    root: str           # has opp/
    kit: str            # has lib64/ and python/
    script: str         # set_env.sh, or nothing
    plug_in: str        # the site-packages of npu_bridge


LAYOUTS = {
    # 20.x to 5.0.2: exports by hand
    'fwkacllib': Layout('5.0.2', '.', 'fwkacllib', '', 'tfplugin/python/site-packages'),
    # 5.1 to 8.3
    'ascend-toolkit': Layout('6.3.RC1', 'ascend-toolkit/latest', 'ascend-toolkit/latest',
                             'ascend-toolkit/set_env.sh',
                             'tfplugin/latest/python/site-packages'),
    # from 8.5 on; npu_bridge is a wheel (from 8.0 on) that pip puts where it is told
    'cann': Layout('8.5.0', 'cann', 'cann', 'cann/set_env.sh', 'wheel/site-packages'),
}

DRIVER = '''\
Version=23.0.rc2
ascendhal_version=7.35.19
aicpu_version=1.0
tdt_version=1.0
log_version=1.0
prof_version=2.0
dvppkernels_version=1.1
tsfw_version=1.0
Innerversion=V100R001C13SPC006B220
compatible_version=[V100R001C30],[V100R001C13],[V100R001C15]
compatible_version_fw=[7.0.0,7.2.99]
package_version=23.0.5
'''
FIRMWARE = '''\
Version=7.1.0.7.220
firmware_version=1.0
package_version=23.0.5
compatible_version_drv=[23.0.rc3,23.0.rc3.],[23.0.0,23.0.0.]
'''
TOOLKIT = '''\
package_name=Ascend-cann-toolkit
version={version}
innerversion=V100R001C25SPC001B212
compatible_version=[V100R001C15],[V100R001C18],[V100R001C19],[V100R001C20]
arch=aarch64
os=linux
path={root}/aarch64-linux
'''
# As the vendor's: it reads variables that are not set, and not every command of it succeeds.
SET_ENV = '''\
export LD_LIBRARY_PATH={home}/driver/lib64:{home}/driver/lib64/common:{home}/driver/lib64/driver:$LD_LIBRARY_PATH
export ASCEND_TOOLKIT_HOME={root}
export LD_LIBRARY_PATH=${{ASCEND_TOOLKIT_HOME}}/lib64:${{ASCEND_TOOLKIT_HOME}}/lib64/plugin/opskernel:${{ASCEND_TOOLKIT_HOME}}/lib64/plugin/nnengine:$LD_LIBRARY_PATH
export PYTHONPATH=${{ASCEND_TOOLKIT_HOME}}/python/site-packages:${{ASCEND_TOOLKIT_HOME}}/opp/built-in/op_impl/ai_core/tbe:$PYTHONPATH
export PATH=${{ASCEND_TOOLKIT_HOME}}/bin:${{ASCEND_TOOLKIT_HOME}}/compiler/ccec_compiler/bin:$PATH
export ASCEND_AICPU_PATH=${{ASCEND_TOOLKIT_HOME}}
export ASCEND_OPP_PATH=${{ASCEND_TOOLKIT_HOME}}/opp
export TOOLCHAIN_HOME=${{ASCEND_TOOLKIT_HOME}}/toolkit
export ASCEND_HOME_PATH=${{ASCEND_TOOLKIT_HOME}}
[ -f ${{ASCEND_TOOLKIT_HOME}}/no_such_file ] && . ${{ASCEND_TOOLKIT_HOME}}/no_such_file
'''  # noqa: E501


class Libraries(NamedTuple):
    """What compile_libraries() makes."""

    adapter: Path
    ge_runner: Path
    ascend_hal: Path


def compile_libraries(folder: Path) -> Libraries:
    """Compile adapter.cc with TensorFlow's own headers, and what it needs of CANN and the driver.

    Takes three seconds.  Raises CalledProcessError where g++ refuses.
    """
    import tensorflow as tf
    made = Libraries(folder / '_tf_adapter.so', folder / 'libge_runner.so',
                     folder / 'libascend_hal.so')
    link = ['-shared', '-fPIC', '-Wl,--no-as-needed', f'-L{folder}']
    for path, needs in ((made.ascend_hal, []), (made.ge_runner, ['-l:libascend_hal.so'])):
        _gpp('-x', 'c++', '/dev/null', *link, *needs, f'-Wl,-soname,{path.name}', '-o', str(path))
    include, *flags = tf.sysconfig.get_compile_flags()
    _gpp('-std=c++11', '-O0', '-w', '-DNDEBUG', *flags, '-isystem', include[len('-I'):],
         str(HERE / 'adapter.cc'), *link, *tf.sysconfig.get_link_flags(), '-l:libge_runner.so',
         f'-Wl,-rpath-link,{folder}', '-o', str(made.adapter))
    return made


def _gpp(*arguments: str):
    subprocess.run(['g++', *arguments], check=True)


class Machine(NamedTuple):
    """A machine of files; remove some to break it."""

    home: Path          # what /usr/local/Ascend is elsewhere
    dev: Path           # what /dev is elsewhere
    layout: Layout

    @property
    def packages(self) -> Path:
        """The site-packages of npu_bridge."""
        return self.home / self.layout.plug_in

    @property
    def kit(self) -> Path:
        return self.home / self.layout.kit

    def env(self) -> Dict[str, str]:
        """What tells the project's scripts where all this is."""
        wheel = {} if 'tfplugin' in self.layout.plug_in else {
            'TFPLUGIN_INSTALL_PATH': str(self.packages)}
        return {'ASCEND_HOME': str(self.home), 'RCAN_DEV': str(self.dev), **wheel}


def install(folder: Path, layout: str, libraries: Libraries, chips: int = 1) -> Machine:
    """Make the driver, CANN and npu_bridge in `folder`, and as many device nodes."""
    machine = Machine(folder / 'Ascend', folder / 'dev', LAYOUTS[layout])
    _nodes(machine.dev, chips)
    home, root = machine.home, machine.home / machine.layout.root
    _write(home / 'driver/version.info', DRIVER)
    _write(home / 'firmware/version.info', FIRMWARE)
    _copy(libraries.ascend_hal, home / 'driver/lib64/driver')
    (home / 'driver/lib64/common').mkdir()
    (root / 'opp').mkdir(parents=True)
    _write(root / 'opp/version.info', f'Version={machine.layout.version}.2.220\n'
                                      f'version_dir={machine.layout.version}\n')
    _write(root / 'version.cfg', '# version: 1.0\nruntime_running_version=[7.6.0.1.220:'
                                 f'{machine.layout.version}]\n')
    if machine.layout.script:
        _write(root / 'aarch64-linux/ascend_toolkit_install.info',
               TOOLKIT.format(version=machine.layout.version, root=root))
        _write(home / machine.layout.script, SET_ENV.format(home=home, root=root))
    _copy(libraries.ge_runner, machine.kit / 'lib64')
    _tree(HERE / 'hccl', machine.kit / 'python/site-packages/hccl')
    _tree(HERE / 'npu_bridge', machine.packages / 'npu_bridge')
    _copy(libraries.adapter, machine.packages / 'npu_bridge')
    if 'tfplugin/latest' in machine.layout.plug_in:
        _write(home / 'tfplugin/set_env.sh',
               f'export PYTHONPATH={machine.packages}:$PYTHONPATH\n')
    return machine


def _nodes(dev: Path, chips: int):
    numbered = [f'davinci{i}' for i in range(chips)]
    for name in [*numbered, 'davinci_manager', 'devmm_svm', 'hisi_hdc']:
        _write(dev / name, '')


def _write(path: Path, text: str):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _copy(library: Path, folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(str(library), str(folder))


def _tree(source: Path, target: Path):
    shutil.copytree(str(source), str(target), ignore=shutil.ignore_patterns('__pycache__'))
