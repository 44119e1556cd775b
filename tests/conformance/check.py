#!/usr/bin/env python3
"""Hold every .api file against the newest botocore model that is installed.

usage: check.py [--missing] [--clients DIR]

What an .api says must be what AWS says: names, wire names, types, required members, bounds, enums, errors. A
contradiction fails. What AWS has and muster has not is no contradiction: it is counted in a table, and with
--missing named. Exceptions that are meant stand in ALLOWED, each with its reason. Exit status 77: no botocore is new
enough.
"""
import argparse
import glob
import gzip
import json
import os
import pathlib
import re
import sys

OLDEST = (1, 43, 60)  # Of older ones nothing can be learnt: AWS has changed since.
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools'))
sys.dont_write_bytecode = True
import api  # noqa: E402

MODELS = {'resourcegroups': 'resource-groups'}  # Where botocore's folder has another name.
NO_MODEL = {'imds'}
PROTOCOLS = {'query': 'query', 'ec2': 'ec2', 'json1.0': 'json', 'json1.1': 'json', 'rest-json': 'rest-json',
             'rpc-v2-cbor': 'smithy-rpc-v2-cbor'}
KINDS = {'string': {'string'}, 'int': {'integer'}, 'long': {'long', 'integer'}, 'double': {'double', 'float'},
         'bool': {'boolean'}, 'time': {'timestamp'}, 'blob': {'blob'}}

# What a line begins with -> why it stays.
ALLOWED = {
    'cloudwatch PutMetricData in MetricData: at most 1000': "documented quota, not in the model",
    'cloudwatch PutMetricData in MetricData[] Values: at most 150': "documented quota, not in the model",
    'cloudwatch PutMetricData in MetricData[] Counts: at most 150': "documented quota, not in the model",
    'cloudwatch GetMetricData in MetricDataQueries: at most 500': "documented quota, not in the model",
}


def botocores(clients):
    """(version, data directory) of every botocore that can be found, the newest last."""
    places = [*glob.glob(f'{clients}/lib/python3*/site-packages/botocore'), *(f'{p}/botocore' for p in sys.path),
              '/usr/lib/python3/dist-packages/botocore']
    found = []
    for place in map(pathlib.Path, places):
        try:
            version = re.search(r"__version__ = '([0-9.]+)'", (place / '__init__.py').read_text()).group(1)
        except (OSError, AttributeError):
            continue
        if any((place / 'data').glob('ec2/*/service-2.json*')):  # Debian has it in a package of its own.
            found.append((tuple(map(int, version.split('.'))), place / 'data'))
    return sorted(found)


def model(data, name):
    """The newest model of a service."""
    path = sorted((data / MODELS.get(name, name)).glob('*/service-2.json*'))[-1]
    with (gzip.open if path.suffix == '.gz' else open)(path, 'rt') as file:
        return json.load(file)


class Check:
    """One service against its model."""

    def __init__(self, service, theirs):
        self.service, self.theirs, self.shapes = service, theirs, theirs['shapes']
        self.wrong, self.missing = [], []
        self.members = {'in': [0, 0], 'out': [0, 0]}  # Ours, theirs.
        self.ops = (0, len(theirs['operations']))
        self.seen = set()

    def say(self, where, text):
        self.wrong.append(f'{self.service.name} {where}: {text}')

    def run(self):
        self.head()
        for op in self.service.ops:
            self.op(op)
        ours = {op['name'] for op in self.service.ops}
        self.ops = (len(ours & set(self.theirs['operations'])), len(self.theirs['operations']))
        self.missing += [f'action {name}' for name in sorted(set(self.theirs['operations']) - ours)]
        for name, code, status in self.service.errors:
            self.error(name, code, status)
        return self

    def head(self):
        meta, service = self.theirs['metadata'], self.service
        offered = set(meta.get('protocols', [meta['protocol']]))
        pairs = [('version', service.version, meta['apiVersion']),
                 ('sign', service.sign, meta.get('signingName', meta['endpointPrefix'])),
                 ('target', service.target, meta.get('targetPrefix'))]
        if {'query', 'ec2'} & set(service.protocols):
            pairs.append(('xmlns', service.xmlns.rstrip('/'), meta.get('xmlNamespace', service.xmlns).rstrip('/')))
        for what, ours, theirs in pairs:
            if ours != theirs:
                self.say(what, f'{ours}, AWS has {theirs}')
        for protocol in service.protocols:
            if PROTOCOLS[protocol] not in offered:
                self.say('protocol', f'{protocol} is none of {sorted(offered)}')
        self.missing += [f'protocol {name}' for name in sorted(offered - {PROTOCOLS[p] for p in service.protocols})]

    def op(self, op):
        theirs = self.theirs['operations'].get(op['name'])
        if theirs is None:
            self.say(op['name'], 'AWS has no such action')
            return
        http = op['options'].get('http')
        if http and http != f'{theirs["http"]["method"]}:{theirs["http"]["requestUri"]}':
            self.say(op['name'], f'http={http}, AWS has {theirs["http"]}')
        for way in ('in', 'out'):
            shape = theirs.get(way + 'put', {})
            if op[way] and not shape:
                self.say(f'{op["name"]} {way}', 'AWS has none')
            elif shape:
                self.struct(f'{op["name"]} {way}', op[way] or '', self.shapes[shape['shape']], way)
                if way == 'out' and op['out'] is None and shape.get('resultWrapper'):
                    self.say(f'{op["name"]} out', f'AWS answers with an empty {shape["resultWrapper"]}')
        raises = {error['shape'] for error in theirs.get('errors', [])}
        for name in op['err'].split():
            if name not in raises:
                self.say(f'{op["name"]} err', f'AWS does not list {name}')

    def error(self, name, code, status):
        shape = self.shapes.get(name)
        if shape is None or not (shape.get('exception') or 'error' in shape):
            self.say('error', f'AWS has no {name}')
            return
        theirs = shape.get('error', {})
        if {'query', 'ec2'} & set(self.service.protocols) and theirs.get('code', name) != code:
            self.say(f'error {name}', f'code {code}, AWS has {theirs.get("code", name)}')
        if theirs.get('httpStatusCode', status) != status:
            self.say(f'error {name}', f'status {status}, AWS has {theirs["httpStatusCode"]}')

    def struct(self, where, text, theirs, way):
        names = set()
        for part in api.split_members(text):
            name, required, type_text, wire_out, wire_in, location = api.read_member(self.service, part)
            member = theirs['members'].get(name)
            names.add(name)
            if member is None:
                self.say(where, f'AWS has no {name}')
                continue
            here = f'{where} {name}'
            if way == 'in' and required != (name in theirs.get('required', ())):
                self.say(here, 'is required' if required else 'AWS requires it')
            if member.get('location', 'body') not in (location, {'path': 'uri', 'query': 'querystring'}.get(location)):
                self.say(here, f'in {location}, AWS has it in {member["location"]}')
            self.wire(here, name, member, wire_in if way == 'in' else wire_out, way)
            self.type(here, type_text, member['shape'], way, member)
        lacking = set(theirs['members']) - names
        self.missing += [f'{where} {name}' for name in sorted(lacking)]
        self.members[way][0] += len(names)
        self.members[way][1] += len(theirs['members'])

    def wire(self, where, name, member, ours, way):
        shape = self.shapes[member['shape']]
        theirs = member.get('locationName', name)
        if 'ec2' in self.service.protocols and way == 'in':
            theirs = member.get('queryName') or theirs[0].upper() + theirs[1:]
        elif shape.get('flattened') and 'query' in self.service.protocols:
            theirs = shape['member'].get('locationName', theirs)
        if ours != theirs:
            self.say(where, f'is {ours} on the wire, AWS has {theirs}')

    def type(self, where, text, name, way, member):
        theirs, (kind, *parts) = self.shapes[name], api.read_type(text)
        if (text, name, way) in self.seen:
            return
        self.seen.add((text, name, way))
        if kind == 'list':
            if theirs['type'] != 'list':
                self.say(where, f'is a list, AWS has {theirs["type"]}')
                return
            if way == 'in':
                self.bounds(where, parts[1], theirs)
            element = theirs['member'].get('locationName')
            usual = 'item' if 'ec2' in self.service.protocols else 'member'
            if ('query' in self.service.protocols or (usual == 'item' and way == 'out')) and (
                    (parts[2] or usual) != (element or usual) or theirs.get('flattened')):
                self.say(where, f'elements are {parts[2] or usual} on the wire, AWS has {element}')
            self.type(f'{where}[]', parts[0], theirs['member']['shape'], way, theirs['member'])
        elif kind == 'map':
            if theirs['type'] != 'map':
                self.say(where, f'is a map, AWS has {theirs["type"]}')
                return
            self.type(f'{where}{{}}', parts[1], theirs['value']['shape'], way, theirs['value'])
        elif parts[0] in api.BASES:
            self.base(where, parts[0], theirs)
        else:
            self.named(where, self.service.types[parts[0]], theirs, way)

    def base(self, where, base, theirs):
        if base != 'json' and theirs['type'] not in KINDS[base]:
            self.say(where, f'is {base}, AWS has {theirs["type"]}')

    def named(self, where, ours, theirs, way):
        if ours[0] == 'struct':
            if theirs['type'] != 'structure':
                self.say(where, f'is a structure, AWS has {theirs["type"]}')
            else:
                self.struct(where, ours[1]['members'], theirs, way)
        elif ours[0] == 'enum':
            extra = set(ours[1]) - set(theirs.get('enum', ()))
            if theirs['type'] != 'string' or ('enum' in theirs and extra):
                self.say(where, f'AWS does not know {" ".join(sorted(extra))}')
            elif 'enum' not in theirs:
                self.say(where, 'is an enumeration, AWS takes any text')
            self.missing += [f'{where} value {value}' for value in theirs.get('enum', ()) if value not in ours[1]]
        else:
            self.base(where, ours[1], theirs)
            if way == 'in':
                self.bounds(where, ours[2], theirs)

    def bounds(self, where, limits, theirs):
        """Never narrower than AWS: what it takes is taken."""
        low, high = (limits or '..').split('..')
        if low and int(low) > theirs.get('min', 0 if theirs['type'] in ('string', 'list') else -10**18):
            self.say(where, f'at least {low}, AWS has {theirs.get("min", "no limit")}')
        if high and int(high) < theirs.get('max', 10**18):
            self.say(where, f'at most {high}, AWS has {theirs.get("max", "no limit")}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--missing', action='store_true', help='name what AWS has and muster has not')
    parser.add_argument('--clients', default=os.environ.get('MUSTER_CLIENTS', ROOT / 'build/clients'),
                        help='a virtual environment that may hold a newer botocore')
    args = parser.parse_args()
    found = botocores(args.clients)
    if not found or found[-1][0] < OLDEST:
        print(f'no botocore of {".".join(map(str, OLDEST))} or newer is installed: nothing to compare with')
        sys.exit(77)
    version, data = found[-1]
    print(f'botocore {".".join(map(str, version))}')
    print(f'{"service":16}{"actions":>12}{"inputs":>14}{"outputs":>14}')
    wrong, used = [], set()
    for path in sorted((ROOT / 'src/services').glob('*/*.api')):
        if path.stem in NO_MODEL:
            continue
        check = Check(api.Service(path), model(data, path.stem)).run()
        print(f'{path.stem:16}' + ''.join(f'{f"{ours} of {theirs}":>{width}}' for (ours, theirs), width in
                                          ((check.ops, 12), (check.members['in'], 14), (check.members['out'], 14))))
        if args.missing:
            print(''.join(f'  lacks {line}\n' for line in check.missing), end='')
        for line in check.wrong:
            reason = next((start for start in ALLOWED if line.startswith(start)), None)
            used.add(reason)
            if reason is None:
                wrong.append(line)
    print(''.join(f'{line}\n' for line in wrong), end='')
    unused = set(ALLOWED) - used
    print(''.join(f'ALLOWED is of no use: {line}\n' for line in sorted(unused)), end='')
    print(f'{len(wrong)} contradictions')
    sys.exit(bool(wrong or unused))


if __name__ == '__main__':
    main()
