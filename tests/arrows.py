#!/usr/bin/env python3
"""Do the arrows of docs/architecture.md point one way? Reads every #include of src/.

A folder may include what its row names, and itself. Services stand in a row of their own and see of
one another only the public header. Prints what breaks the rules; exits 1 then.
"""
import pathlib
import re
import sys

SRC = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / 'src')

FOLDERS = {
    'base': '',
    'aws': 'base',
    'engine': 'base',
    'store': 'base',
    'http': 'base',
    'network': 'base',
    'wire': 'base store http',
    'client': 'base http wire',
    'warden': 'base http network musterd/options.h',
    'compute': 'base network warden/protocol.h',
    'balancer': 'base',
    'services': 'base aws engine store http wire network compute balancer api',
    'api': 'base wire services',
    'musterd': 'base http wire store network compute services api',
    'muster': 'base http client',
    'candidate': 'base http client',
}
SERVICES = {
    'iam': '',
    'sts': 'iam',
    'cloudwatch': '',
    'ec2': 'iam cloudwatch',
    'imds': 'iam ec2',
    'elbv2': 'cloudwatch ec2',
    'autoscaling': 'cloudwatch ec2 elbv2',
    'ssm': 'iam ec2',
    'resourcegroups': '',
    'dynamodb': '',
    'cloudformation': 'elbv2',
}


def allowed(file, include):
    """May src/@file include "@include"?"""
    own, other = file.parts[0], include.split('/')[0]
    if own == 'services' and other == 'services' and include != 'services/control.h':
        service, there = file.parts[1], include.split('/')[1]
        return service == there or (there in SERVICES.get(service, '').split()
                                    and include == f'services/{there}/{there}.h')
    return other == own or other in FOLDERS[own].split() or include in FOLDERS[own].split()


def main():
    wrong = []
    for file in sorted(SRC.rglob('*.[ch]')):
        file = file.relative_to(SRC)
        if file.parts[0] not in FOLDERS:
            wrong.append(f'{file}: folder {file.parts[0]} has no row in tests/arrows.py')
            continue
        for include in re.findall(r'^#include "([a-z_0-9]+/[^"]+)"', (SRC / file).read_text(), re.M):
            if not allowed(file, include):
                wrong.append(f'{file} includes {include}')
    print('\n'.join(wrong) or f'{len(FOLDERS)} folders, {len(SERVICES)} services: all arrows point one way')
    return 1 if wrong else 0


sys.exit(main())
