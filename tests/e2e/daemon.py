"""Start, use, kill and restart a muster daemon."""
import configparser
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import boto3
import botocore.config
import botocore.loaders
import botocore.session

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('MUSTER_BUILD', ROOT / 'build'))
NEWER = tuple(map(int, botocore.__version__.split('.')[:2])) >= (1, 36)  # Debian 12's boto3 does not know all.
PATIENCE = int(os.environ.get('MUSTER_PATIENCE', 1))  # Of an emulated machine's tests.
REGION = 'us-east-2'
BESIDE = pathlib.Path(sys.executable).parent / 'aws'
MODELS = botocore.loaders.create_loader()  # For all clients: reading a model takes up to half a second.
AWS = str(BESIDE) if BESIDE.exists() else 'aws'  # The CLI that came with our Python, else the first on PATH.
def binary(name):
    """Where ninja puts the program."""
    return str(BUILD / 'src' / {'muster-warden': 'warden'}.get(name, name) / name)


def wait(condition, what, timeout=30, every=0.1):
    """The condition's first true value; fails with its last one after `timeout` real seconds ($MUSTER_PATIENCE times)."""
    end = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f'waited {timeout} s for {what}; last: {value!r}'
        time.sleep(every)


class Muster:
    """One daemon: musterd alone with --compute sim, else under muster-warden."""

    def __init__(self, directory, options):
        self.directory = pathlib.Path(directory)
        self.state_dir = self.directory / 'state'
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        self.options = options
        self.real = 'lxc' in options
        self.extra_environment = {}  # For the daemon's next start.
        self.wrapper = []  # What it is started by, e.g. ['prlimit', '--nofile=64'].
        self.log = self.directory / 'daemon.log'
        self.port = 0
        self.process = None

    def start(self, timeout=120):
        program = binary('muster-warden' if self.real else 'musterd')
        listen = f'127.0.0.1:{self.port}'
        with open(self.log, 'ab') as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [*self.wrapper, program, '--state-dir', str(self.state_dir), '--listen', listen, *self.options],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={**clean_environment(), **self.extra_environment, 'MUSTER_MAKE_BASE': str(ROOT / 'tools/image/make-base.sh')})

        def ready():
            text = self.log.read_bytes()[begin:].decode(errors='replace')
            assert self.process.poll() is None, f'{program} ended:\n{text[-4000:]}'
            return re.search(r'ready http://127\.0\.0\.1:(\d+)', text)
        self.port = int(wait(ready, 'the ready line', timeout, 0.02).group(1))
        return self

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    @property
    def credentials(self):
        """Root's access key and secret, as made at the first start."""
        parser = configparser.ConfigParser()
        parser.read(self.state_dir / 'credentials')
        section = parser['default']
        return section['aws_access_key_id'], section['aws_secret_access_key']

    def client(self, service, key=None, secret=None, token=None, **config):
        own_key, own_secret = self.credentials
        config = {'retries': {'max_attempts': 1}, 'read_timeout': 30, **config}
        session = botocore.session.get_session()
        session.register_component('data_loader', MODELS)
        return boto3.Session(botocore_session=session).client(
            service, endpoint_url=self.endpoint, region_name=REGION,
            aws_access_key_id=key or own_key, aws_secret_access_key=secret or own_secret,
            aws_session_token=token, config=botocore.config.Config(**config))

    def environment(self):
        key, secret = self.credentials
        return {**clean_environment(), 'AWS_ACCESS_KEY_ID': key, 'AWS_SECRET_ACCESS_KEY': secret,
                'AWS_DEFAULT_REGION': REGION, 'AWS_REGION': REGION, 'AWS_PAGER': '',
                'AWS_ENDPOINT_URL': self.endpoint, 'NO_PROXY': '127.0.0.1'}

    def aws(self, *arguments, program=AWS, check=True):
        """Run the AWS CLI; its JSON output, or with check=False the finished process."""
        done = subprocess.run([program, '--endpoint-url', self.endpoint, '--output', 'json', *arguments],
                              env=self.environment(), capture_output=True, text=True, timeout=120)
        if not check:
            return done
        assert done.returncode == 0, f'aws {" ".join(arguments)}: {done.stderr}'
        return json.loads(done.stdout) if done.stdout.strip() else None

    @contextlib.contextmanager
    def cli(self):
        """The AWS CLI in one process (cli.py): a function from arguments to (exit status, output, errors)."""
        process = subprocess.Popen([sys.executable, str(ROOT / 'tests/e2e/cli.py')], env=self.environment(), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def run(*arguments):
            process.stdin.write(json.dumps(['--endpoint-url', self.endpoint, *map(str, arguments)]) + '\n')
            process.stdin.flush()
            return tuple(json.loads(process.stdout.readline()))
        try:
            yield run
        finally:
            process.stdin.close()
            process.wait(60)
            process.stdout.close()

    def aws_all(self, commands):
        """Run commands of the AWS CLI one after another."""
        with self.cli() as run:
            return [run(*command) for command in commands]

    def muster(self, *arguments, check=True, timeout=600):
        """Run our CLI."""
        done = subprocess.run([binary('muster'), *arguments], env=self.environment(),
                              capture_output=True, text=True, timeout=timeout)
        if check:
            assert done.returncode == 0, f'muster {" ".join(arguments)}: {done.stdout}{done.stderr}'
        return done

    def kill(self, with_signal=signal.SIGKILL):
        """End the process that we started, and wait for it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(60)

    def kill_musterd(self):
        """SIGKILL to the musterd that our warden started, which starts another."""
        children = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        for child in pathlib.Path(children).read_text().split():
            name = pathlib.Path(f'/proc/{child}/comm').read_text().strip()
            if name == 'musterd':
                os.kill(int(child), signal.SIGKILL)
                return
        raise AssertionError('no musterd runs')

    def stop(self):
        self.kill(signal.SIGTERM)

    def stop_sound(self):
        """Stop a sanitized one: nothing was leaked, nothing undefined was done."""
        self.stop()
        assert self.process.returncode == 0, self.log_lines(60)
        assert 'runtime error' not in self.log.read_text(errors='replace')

    def restart(self, with_signal=signal.SIGKILL):
        self.kill(with_signal)
        return self.start()

    def log_lines(self, count):
        """The last ones, for a failure's message; of requests those that were refused."""
        lines = [line for line in self.log.read_text(errors='replace').splitlines()
                 if 'api.request' not in line or 'status=200' not in line]
        return '\n' + '\n'.join(lines[-count:])

    def purge(self):
        """Remove every container, namespace, rule and process that this site made."""
        done = subprocess.run([binary('muster-warden'), '--purge', '--state-dir', str(self.state_dir)],
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f'purge: {done.stdout}{done.stderr}'
        return done


def clean_environment():
    """Ours without what would lead clients or the daemon elsewhere."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith(('AWS_', 'MUSTER_')) and not name.lower().endswith('_proxy')}


def fresh(directory, options, environment=None, wrapper=()):
    """For fixtures: a daemon that is gone afterwards, whatever happened."""
    muster = Muster(directory, options)
    muster.extra_environment, muster.wrapper = environment or {}, list(wrapper)
    try:
        yield muster.start()
    finally:
        muster.stop()
        if muster.real:
            muster.purge()
        if muster.process is not None and muster.process.returncode not in (0, -15, -9):
            raise AssertionError(f'the daemon ended with {muster.process.returncode}:\n'
                                 + muster.log.read_text(errors='replace')[-4000:])
