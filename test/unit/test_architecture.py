# SPDX-License-Identifier: Apache-2.0
"""The arrows: which module may import which, start processes, write files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = {'harness.errors', 'harness.records'}

# A new module fails until somebody decides here what it may import of the project.
MAY_IMPORT = {
    'harness': set(),
    'harness.errors': set(),
    'harness.records': {'harness.errors'},
    # The stages: each knows the records, none knows another.
    'harness.config': RECORDS | {'harness.models'},
    'harness.plan': RECORDS,
    'harness.device': RECORDS,
    'harness.files': set(),
    'harness.machine': RECORDS | {'harness.files', 'harness.npu_smi'},
    'harness.run': RECORDS,
    'harness.turns': RECORDS | {'harness.run'},
    # Other models: their scripts, their rules, the copy they run in, what they have left.
    'harness.rules': RECORDS,
    'harness.recompute': {'harness.rules'},
    'harness.claims': set(),
    'harness.models': RECORDS | {'harness.rules'},
    'harness.tree': {'harness.files'},
    'harness.walls': set(),
    'harness.witness': {'harness.files'},
    'harness.sandbox': RECORDS | {'harness.run', 'harness.tree', 'harness.walls',
                                  'harness.witness'},
    'harness.npu_proof': set(),
    'harness.foreign': RECORDS | {'harness.claims', 'harness.files', 'harness.models',
                                  'harness.npu_proof', 'harness.recompute', 'harness.rules',
                                  'harness.sandbox', 'harness.tree', 'harness.witness'},
    'harness.npu_smi': set(),
    'harness.smi': RECORDS | {'harness.npu_smi'},
    'harness.telemetry': RECORDS | {'harness.files', 'harness.smi'},
    'harness.causes': set(),
    'harness.plog': {'harness.files'},
    'harness.events': RECORDS,
    'harness.parse': RECORDS | {'harness.events', 'harness.steps'},
    'harness.steps': set(),
    'harness.stats': set(),
    'harness.changes': set(),
    'harness.history': RECORDS,
    'harness.advice': RECORDS,
    'harness.weigh': RECORDS | {'harness.advice', 'harness.stats'},
    'harness.judge': RECORDS | {'harness.advice', 'harness.stats', 'harness.weigh'},
    'harness.baseline': RECORDS | {'harness.stats'},
    'harness.canary': set(),
    'harness.disturbance': RECORDS,
    'harness.worktree': RECORDS,
    'harness.outlook': RECORDS | {'harness.plan'},
    'harness.scene': RECORDS | {'harness.outlook'},
    'harness.live': RECORDS | {'harness.outlook', 'harness.scene'},
    # Reports: text by one module each, files by one writer; store knows them all.
    'harness.report': set(),
    'harness.report.document': RECORDS,
    'harness.report.tables': RECORDS,
    'harness.report.charts': set(),
    'harness.report.content': RECORDS | {'harness.judge', 'harness.weigh'},
    'harness.report.curves': RECORDS | {'harness.judge', 'harness.report.charts',
                                        'harness.stats'},
    'harness.report.markdown': RECORDS | {'harness.report.charts', 'harness.report.content'},
    'harness.report.series': RECORDS | {'harness.changes', 'harness.history'},
    'harness.report.trends': RECORDS | {'harness.history', 'harness.report.charts',
                                        'harness.report.curves', 'harness.report.series'},
    'harness.report.chinese': set(),
    'harness.report.junit': RECORDS,
    'harness.report.export': RECORDS,
    'harness.report.github': RECORDS | {'harness.report.markdown'},
    'harness.report.plots': {'harness.report.charts'},
    'harness.report.page': RECORDS | {'harness.history', 'harness.report.charts',
                                      'harness.report.content'},
    'harness.report.write': set(),
    'harness.store': RECORDS | {
        'harness.baseline', 'harness.files', 'harness.history', 'harness.report.charts',
        'harness.report.chinese',
        'harness.report.content', 'harness.report.curves', 'harness.report.document',
        'harness.report.junit', 'harness.report.markdown', 'harness.report.page',
        'harness.report.plots', 'harness.report.tables', 'harness.report.trends',
        'harness.report.write'},
    'harness.certificate': RECORDS | {'harness.baseline', 'harness.report.document',
                                      'harness.report.write'},
    'harness.evidence': RECORDS | {'harness.baseline', 'harness.causes', 'harness.disturbance',
                                   'harness.foreign', 'harness.history', 'harness.files',
                                   'harness.machine', 'harness.parse', 'harness.plog',
                                   'harness.sandbox'},
    # The order of the stages, and the entries.
    'harness.environment': set(),
    'harness.study': RECORDS | {
        'harness.canary', 'harness.config', 'harness.evidence', 'harness.history',
        'harness.judge', 'harness.live', 'harness.outlook', 'harness.parse', 'harness.plan',
        'harness.run', 'harness.sandbox', 'harness.smi', 'harness.stats', 'harness.store',
        'harness.telemetry', 'harness.turns', 'harness.worktree'},
    'harness.run_all': RECORDS | {
        'harness.baseline', 'harness.certificate', 'harness.config', 'harness.device',
        'harness.environment', 'harness.history', 'harness.judge', 'harness.live',
        'harness.machine', 'harness.plan', 'harness.report.document', 'harness.report.export',
        'harness.report.github', 'harness.report.markdown', 'harness.report.write', 'harness.run',
        'harness.stats', 'harness.store', 'harness.study', 'harness.worktree'},
    'harness.doctor': RECORDS | {'harness.config', 'harness.device', 'harness.machine',
                                 'harness.npu_smi', 'harness.smi'},
    'harness.level': RECORDS | {'harness.baseline', 'harness.config', 'harness.files',
                                'harness.judge', 'harness.report.write', 'harness.stats',
                                'harness.store'},
    # Compliance: a folder is read, tried out and judged by rules; one module knows them all.
    'harness.compliance': set(),
    'harness.compliance.folder': RECORDS | {'harness.files'},
    'harness.compliance.shell': set(),
    'harness.compliance.stand_ins': set(),
    'harness.compliance.dry_run': {'harness.compliance.folder', 'harness.compliance.shell',
                                   'harness.compliance.stand_ins', 'harness.files'},
    'harness.compliance.rule': {'harness.compliance.dry_run', 'harness.compliance.folder',
                                'harness.compliance.shell'},
    'harness.compliance.rules_files': {'harness.compliance.rule', 'harness.compliance.shell'},
    'harness.compliance.rules_level': {'harness.compliance.rule',
                                       'harness.compliance.rules_files'},
    'harness.compliance.rules_readme': {'harness.compliance.rule'},
    'harness.compliance.rules_results': {'harness.compliance.rule', 'harness.compliance.shell'},
    'harness.compliance.rules_scripts': {'harness.compliance.rule', 'harness.compliance.shell'},
    'harness.compliance.rules_runs': {'harness.compliance.dry_run', 'harness.compliance.rule',
                                      'harness.compliance.rules_scripts',
                                      'harness.compliance.shell'},
    'harness.compliance.rules': {f'harness.compliance.{name}' for name in (
        'rule', 'rules_files', 'rules_level', 'rules_readme', 'rules_results', 'rules_runs',
        'rules_scripts')},
    'harness.compliance.report': {'harness.compliance.rule'},
    'harness.compliance.check': {'harness.run'} | {f'harness.compliance.{name}' for name in (
        'dry_run', 'folder', 'report', 'rule', 'rules', 'shell')},
    'harness.effort': RECORDS | {'harness.stats', 'harness.weigh'},
    'harness.certify': RECORDS | {'harness.certificate', 'harness.live', 'harness.plan',
                                  'harness.study'},
    'harness.__main__': RECORDS | {
        'harness.baseline', 'harness.certify', 'harness.compliance.check', 'harness.config',
        'harness.doctor', 'harness.effort', 'harness.environment', 'harness.evidence',
        'harness.history', 'harness.judge', 'harness.level', 'harness.live', 'harness.models',
        'harness.report.markdown', 'harness.report.series', 'harness.report.write',
        'harness.run_all', 'harness.stats', 'harness.store', 'harness.study', 'harness.weigh'},

    'model': set(),
    'model.errors': set(),
    'model.progress': set(),
    'model.metrics': set(),
    'model.network': set(),
    'model.picture': set(),
    'model.summary': set(),
    'model.config': {'model.errors'},
    'model.images': {'model.errors'},
    'model.device': {'model.config', 'model.errors'},
    'model.cache': {'model.images'},
    'model.degrade': {'model.config', 'model.errors', 'model.images'},
    'model.data': {'model.cache', 'model.degrade', 'model.errors', 'model.images',
                   'model.metrics'},
    'model.checkpoint': {'model.errors', 'model.network'},
    'model.recipe': {'model.network'},
    'model.upscale': {'model.checkpoint', 'model.data', 'model.device', 'model.network'},
    'model.evaluate': {'model.data', 'model.degrade', 'model.images', 'model.metrics',
                       'model.picture', 'model.progress', 'model.upscale'},
    'model.train': {'model.checkpoint', 'model.data', 'model.device', 'model.errors',
                    'model.evaluate', 'model.network', 'model.progress', 'model.recipe',
                    'model.summary', 'model.upscale'},
    'model.original': {'model.network'},
    'model.export': {'model.checkpoint', 'model.config', 'model.errors', 'model.main',
                     'model.network'},
    'model.bench': {'model.cache', 'model.checkpoint', 'model.config', 'model.data',
                    'model.device', 'model.errors', 'model.evaluate', 'model.main',
                    'model.network', 'model.original', 'model.progress', 'model.recipe',
                    'model.upscale'},
    'model.main': {'model.config', 'model.data', 'model.errors', 'model.evaluate',
                   'model.images', 'model.progress', 'model.train'},
}

# What does something to the world, by where it may stand.  run.py keeps the output of what it runs.
PROCESSES = {'subprocess', 'multiprocessing', 'pty'}
STARTS_PROCESSES = {'harness.run': PROCESSES, 'harness.environment': {'os.execvp'},
                    'model.bench': {'subprocess'}}
WRITES_FILES = {'harness.report.write': {'open', 'os.makedirs', 'os.replace', 'os.unlink',
                                         'os.chmod', 'tempfile.mkstemp'},
                'harness.store': {'os.makedirs'},
                'harness.baseline': {'os.unlink'},
                'harness.report.plots': {'figure.savefig'},   # into memory
                'harness.run': {'open', 'os.open', 'shutil.copy', 'shutil.copyfileobj',
                                'tempfile.TemporaryFile'},
                'harness.compliance.dry_run': {'open', 'os.makedirs', 'os.chmod', 'shutil.copy',
                                               'tempfile.TemporaryDirectory'},
                # A copy of its own, and what is to be kept of it.
                'harness.witness': {'open', 'os.chmod', 'os.mkdir', 'shutil.which'},
                'harness.walls': {'shutil.which'},
                'harness.sandbox': {'open', 'os.chmod', 'os.makedirs', 'os.mkdir', 'os.symlink',
                                    'os.unlink',
                                    'shutil.copy2', 'shutil.copytree', 'shutil.rmtree',
                                    'shutil.which', 'tempfile.mkdtemp'}}
PROCESS_CALLS = {'os.system', 'os.popen', 'os.fork', 'os.kill'} | {
    f'os.{name}{suffix}' for name in ('exec', 'spawn') for suffix in
    ('l', 'le', 'lp', 'lpe', 'v', 've', 'vp', 'vpe')}
WRITE_CALLS = {'os.makedirs', 'os.mkdir', 'os.replace', 'os.rename', 'os.remove', 'os.unlink',
               'os.rmdir', 'os.chmod', 'os.symlink', 'os.link', 'os.open', 'os.truncate'}
WRITE_MODULES = {'shutil', 'tempfile', 'sqlite3'}
WRITE_METHODS = {'write_text', 'write_bytes', 'unlink', 'rename', 'mkdir', 'touch', 'rmdir',
                 'to_pickle', 'savefig'}


def modules():
    """Every module of the project, by its dotted name."""
    paths = sorted(p for part in ('harness', 'model') for p in (ROOT / part).rglob('*.py'))
    return {'.'.join(p.relative_to(ROOT).with_suffix('').parts).replace('.__init__', ''): p
            for p in paths}


MODULES = modules()
each_module = pytest.mark.parametrize('module', list(MODULES))


def tree(module):
    return ast.parse(MODULES[module].read_text(encoding='utf-8'))


def imports(module):
    """All that a module imports anywhere in it, by dotted name."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{module} imports relatively'
            names = {f'{node.module}.{name.name}' for name in node.names}
            # `from harness import x` names a module, `from harness.x import Y` something in it.
            found |= {name if name in MODULES else node.module for name in names}
    return found


def top(name):
    return name.split('.')[0]


def calls(module):
    """The names of all functions that a module calls: open, os.replace."""
    return {ast_name(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)}


def ast_name(node):
    if isinstance(node, ast.Attribute):
        return f'{ast_name(node.value)}.{node.attr}'
    return node.id if isinstance(node, ast.Name) else '?'


def opens_for_writing(module):
    """True where it calls open with a mode that is none for reading, or one that is not written."""
    modes = [[*node.args[1:2], *(k.value for k in node.keywords if k.arg == 'mode')]
             for node in ast.walk(tree(module))
             if isinstance(node, ast.Call) and ast_name(node.func) in ('open', 'io.open')]
    return any(mode and ast.literal_eval(mode[0]) not in ('r', 'rb') for mode in modes)


@each_module
def test_a_module_imports_only_what_it_may(module):
    assert module in MAY_IMPORT, f'decide what {module} may import'
    assert {name for name in imports(module) if top(name) in ('harness', 'model')} <= MAY_IMPORT[
        module]


def test_the_table_names_no_module_that_is_gone_and_no_arrow_that_is_unused():
    assert set(MAY_IMPORT) == set(MODULES)
    for module, may in MAY_IMPORT.items():
        assert may - RECORDS <= imports(module), module


@each_module
def test_harness_and_model_know_nothing_of_each_other(module):
    other = {'harness': 'model', 'model': 'harness'}[top(module)]
    assert other not in {top(name) for name in imports(module)}


@each_module
def test_no_module_goes_round_these_tables(module):
    assert not {'__import__', 'importlib.import_module', 'eval', 'exec'} & calls(module)


@pytest.mark.parametrize('module', [m for m in MODULES if top(m) == 'harness'])
def test_the_harness_needs_no_tensorflow(module):
    assert not {'tensorflow', 'npu_bridge', 'numpy'} & {top(name) for name in imports(module)}


def test_importing_the_whole_harness_loads_neither_tensorflow_nor_the_model():
    names = [m for m in MODULES if top(m) == 'harness']
    code = (f'import sys, {", ".join(names)}\n'
            'print(sorted({"tensorflow", "model", "npu_bridge"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', code], cwd=str(ROOT), capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '[]\n', '')


@each_module
def test_only_run_starts_processes(module):
    starts = {top(name) for name in imports(module)} & PROCESSES | calls(module) & PROCESS_CALLS
    assert starts <= STARTS_PROCESSES.get(module, set())


@pytest.mark.parametrize('module', [m for m in MODULES if top(m) == 'harness'])
def test_only_the_writer_writes_files(module):
    called = calls(module)
    writes = called & WRITE_CALLS
    writes |= {name for name in called if top(name) in WRITE_MODULES}
    writes |= {name for name in called if name.split('.')[-1] in WRITE_METHODS and name != '?.write'
               and top(name) not in ('os', 'shutil')}
    writes |= {'open'} if opens_for_writing(module) else set()
    assert writes <= WRITES_FILES.get(module, set())


def test_the_tables_of_what_a_module_may_do_name_nothing_that_it_does_not():
    for module, may in WRITES_FILES.items():
        assert may <= calls(module)
    assert STARTS_PROCESSES['harness.environment'] <= calls('harness.environment')
    assert 'subprocess' in imports('harness.run')


@each_module
def test_the_syntax_is_python_3_7s(module):
    source = MODULES[module].read_text(encoding='utf-8')
    if sys.version_info >= (3, 8):
        ast.parse(source, feature_version=(3, 7))
    compile(source, str(MODULES[module]), 'exec', dont_inherit=True)


@each_module
def test_a_file_names_its_licence_first_and_says_what_it_is_for(module):
    lines = MODULES[module].read_text(encoding='utf-8').splitlines()
    assert lines[lines[0].startswith('#!')] == '# SPDX-License-Identifier: Apache-2.0'
    assert ast.get_docstring(tree(module))


def test_no_module_hides_one_of_the_standard_library():
    # python harness/run_all.py puts harness/ itself on sys.path, until run_all.py takes it off.
    standard = getattr(sys, 'stdlib_module_names', {   # since Python 3.10
        'code', 'configparser', 'platform', 'profile', 'queue', 'select', 'signal', 'statistics',
        'test', 'time', 'trace', 'types'})
    assert not {m.split('.')[1] for m in MODULES if '.' in m} & set(standard)


def test_the_test_folder_does_not_hide_pythons_own_test():
    assert not (ROOT / 'test/__init__.py').exists()
