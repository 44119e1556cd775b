"""What the end-to-end tests share: a real daemon, real clients.

`sim` is a musterd of the module's own with the sim driver (instances are a model; no root needed);
`lxc` is one warden for the whole run with real containers, at ten times real time. Both are a Muster
(daemon.py). Tests wait on conditions (daemon.wait), never on sleeps. Files marked `lxc`, `crash` or
`nightly` are chosen by test.sh.
"""
import os
import pathlib
import shutil

import pytest

import daemon
import stack as candidates


def pytest_configure(config):
    for marker in ('lxc: needs root and real containers', 'crash: kills things at random',
                   'nightly: takes long', 'random: calls at random, against the sanitized build', 'terraform: by the real Terraform, where it is installed',
                   'clients: runs once more with the newest boto3 and AWS CLI'):
        config.addinivalue_line('markers', marker)


@pytest.fixture(scope='module')
def sim(tmp_path_factory):
    """A fresh musterd with the sim driver; a module may set TIME_SCALE = N or OPTIONS = [...]."""
    yield from daemon.fresh(tmp_path_factory.mktemp('sim'), ['--compute', 'sim'])


@pytest.fixture(scope='module')
def fast_sim(tmp_path_factory):
    """The same at 100 times real time, for what waits by a rule."""
    yield from daemon.fresh(tmp_path_factory.mktemp('sim'),
                            ['--compute', 'sim', '--time-scale', '100'])


@pytest.fixture(scope='session')
def lxc(tmp_path_factory):
    """One warden with real containers for all tests that need them."""
    assert os.geteuid() == 0, 'these tests make containers: run them as root'
    directory = pathlib.Path('/var/tmp') / f'muster-test-{os.getpid()}'
    directory.mkdir()
    try:
        yield from daemon.fresh(directory, ['--compute', 'lxc', '--time-scale', '10'])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope='session')
def stack(lxc):
    """The candidates stack on it, two instances in service."""
    return candidates.Stack(lxc, lxc.directory).made()
