#!/usr/bin/env python3
"""Compile the API models, src/services/NAME/NAME.api, into const C tables (src/wire/model.h).

usage: api.py --out DIR [--symbol api] FILE.api ...

Writes DIR/members.h (enum member: every member name once, AWS's spelling behind M_), DIR/handlers.h
(a declaration per action, SERVICE_action_in_snake_case; one that nobody defines does not link),
DIR/api.h and DIR/models.c.

The syntax of a .api file, '#' begins a comment:

  service NAME PROTOCOL[,PROTOCOL] VERSION sign=NAME [xmlns=URL] [target=PREFIX]
  error SHAPE [code=QUERYCODE] [status=N]
  op NAME [writes] [unsigned] [judges] [arn=ARN,ARN...] [http=METHOD:/path/{Member}]
    in  MEMBER, MEMBER ...       (continued on further indented lines)
    out MEMBER, ...              (left out: the action answers without a result)
    err SHAPE SHAPE
  type NAME BASE [MIN..MAX]      BASE: string int long double bool time blob json
  enum NAME VALUE VALUE ...
  struct NAME
    MEMBER, MEMBER ...

A MEMBER is `Name[!] TYPE[@wireout[/wirein]] [in=path|query|header]`, '!' for required. TYPE is a base type, a
declared name, a list [TYPE MIN..MAX] or a map {KEY:TYPE}; [TYPE=WIRE] where the elements of an XML answer are not
called item or member. Without '@', a member's wire name is its
own; in ec2 its first letter is lower-case in answers and upper-case in requests.
"""
import argparse
import pathlib
import re
import sys

BASES = {'string': 'DOC_TEXT', 'int': 'DOC_INT', 'long': 'DOC_INT', 'double': 'DOC_DOUBLE', 'bool': 'DOC_BOOL',
         'time': 'DOC_TIME', 'blob': 'DOC_BLOB', 'json': 'DOC_JSON'}
PROTOCOLS = {'query': 'PROTOCOL_QUERY', 'ec2': 'PROTOCOL_EC2', 'json1.0': 'PROTOCOL_JSON_1_0',
             'json1.1': 'PROTOCOL_JSON_1_1', 'rest-json': 'PROTOCOL_REST_JSON', 'rpc-v2-cbor': 'PROTOCOL_CBOR'}


class Bad(Exception):
    pass


def snake(name):
    name = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name)
    return re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name).lower()


def c_text(text):
    return 'NULL' if text is None else '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def bounds(text):
    """'1..255' -> C expressions for min and max; either may be absent."""
    if text is None:
        return 'MODEL_NO_MIN', 'MODEL_NO_MAX'
    low, high = text.split('..')
    return low or 'MODEL_NO_MIN', high or 'MODEL_NO_MAX'


def split_members(text):
    """At commas outside brackets."""
    parts, depth, part = [], 0, ''
    for char in text:
        depth += (char in '[{') - (char in ']}')
        if char == ',' and depth == 0:
            parts.append(part)
            part = ''
        else:
            part += char
    parts.append(part)
    return [p.strip() for p in parts if p.strip()]


def read_member(service, text):
    """'Name! TYPE@out/in in=query' -> name, whether required, TYPE, wire names in answers and requests, location."""
    match = re.match(r'(\w+)(!?)\s+(\[.*\]|\{.*\}|\w+)(?:@(\S+))?((?:\s+in=\w+)?)$', text)
    if not match:
        raise Bad(f'{service.path}: cannot read the member {text!r}')
    name, required, type_text, wire, location = match.groups()
    wire_out, _, wire_in = (wire or '').partition('/')
    if 'ec2' in service.protocols:
        wire_out = wire_out or name[0].lower() + name[1:]
        wire_in = wire_in or wire_out[0].upper() + wire_out[1:]
    else:
        wire_out = wire_out or name
        wire_in = wire_in or wire_out
    return name, required == '!', type_text, wire_out, wire_in, location.strip()[3:] or 'body'


def read_type(text):
    """TYPE -> ('list', element, limits, the elements' wire name), ('map', key, value) or ('name', name)."""
    text = text.strip()
    if text.startswith('['):
        inner = text[1:-1].strip()
        match = re.match(r'(.*\S)\s+(\d*\.\.\d*)$', inner)
        inner, limits = match.groups() if match else (inner, None)
        inner, _, wire = inner.partition('=')
        return 'list', inner, limits, wire or None
    if text.startswith('{'):
        key, _, value = text[1:-1].partition(':')
        return 'map', key, value
    return 'name', text


class Service:
    def __init__(self, path):
        self.path, self.line = path, 0
        self.ops, self.errors, self.types = [], [], {}
        self.name = None
        self.parse()

    def fail(self, text):
        raise Bad(f'{self.path}:{self.line}: {text}')

    def parse(self):
        where = None  # What an indented line continues.
        for self.line, raw in enumerate(self.path.read_text().splitlines(), 1):
            text = re.sub(r'(^|\s)#.*', '', raw).rstrip()
            if not text.strip():
                continue
            words = text.split()
            if text[0] not in ' \t':
                where = self.declaration(words)
            elif where is None:
                self.fail('nothing to continue here')
            else:
                where = self.continuation(where, text.strip())
        if self.name is None:
            self.fail('no service line')

    def options(self, words, known):
        found = {}
        for word in words:
            key, _, value = word.partition('=')
            if key not in known:
                self.fail(f'unknown option {word!r}')
            found[key] = value
        return found

    def declaration(self, words):
        kind, name = words[0], words[1]
        if kind == 'service':
            self.name = name
            self.protocols = words[2].split(',')
            for protocol in self.protocols:
                if protocol not in PROTOCOLS:
                    self.fail(f'unknown protocol {protocol!r}')
            self.version = words[3]
            options = self.options(words[4:], ('sign', 'xmlns', 'target'))
            self.sign, self.xmlns, self.target = options.get('sign', name), options.get('xmlns'), options.get('target')
            return None
        if kind == 'error':
            options = self.options(words[2:], ('code', 'status'))
            self.errors.append((name, options.get('code', name), int(options.get('status', 400))))
            return None
        if kind == 'op':
            options = self.options(words[2:], ('writes', 'unsigned', 'judges', 'arn', 'http'))
            op = {'name': name, 'options': options, 'in': '', 'out': None, 'err': ''}
            self.ops.append(op)
            return (op, None)
        if kind == 'type':
            self.define(name, ('scalar', words[2], words[3] if len(words) > 3 else None))
            return None
        if kind == 'enum':
            values = words[2:]
            self.define(name, ('enum', values))
            return (values, 'enum')
        if kind == 'struct':
            body = {'members': '', 'line': self.line}
            self.define(name, ('struct', body))
            return (body, 'members')
        self.fail(f'unknown word {kind!r}')

    def define(self, name, what):
        if name in self.types or name in BASES:
            self.fail(f'{name} is declared twice')
        self.types[name] = what

    def continuation(self, where, text):
        thing, key = where
        if key == 'enum':
            thing.extend(text.split())
            return where
        if isinstance(thing, dict) and 'options' in thing:
            word, _, rest = text.partition(' ')
            if word in ('in', 'out', 'err'):
                thing[word] = rest.strip()
                return (thing, word)
            if key is None:
                self.fail(f'expected in, out or err, not {word!r}')
        thing[key] = (thing[key] + ' ' + text).strip()
        return where


class Compiler:
    def __init__(self, services, symbol):
        self.services, self.symbol = services, symbol
        self.members = {}  # name -> True, in order of first appearance
        self.out = []

    def emit(self, text):
        self.out.append(text)

    def shape_ref(self, service, text):
        """The C name of the shape that a TYPE means; anonymous ones are made on the way."""
        kind, *parts = read_type(text)
        if kind == 'list':
            return self.anonymous('DOC_LIST', self.shape_ref(service, parts[0]), parts[1], wire=parts[2])
        if kind == 'map':
            return self.anonymous('DOC_MAP', self.shape_ref(service, parts[1]), None, self.shape_ref(service, parts[0]))
        text = parts[0]
        if text in BASES:
            return f'shape_{text}'
        if text not in service.types:
            raise Bad(f'{service.path}: no type {text!r}')
        return f'{service.name}_{text}'

    def anonymous(self, kind, element, limits, map_key=None, wire=None):
        key = (kind, element, limits, map_key, wire)
        if key not in self.anonymous_names:
            name = f'{self.service.name}_{"list" if kind == "DOC_LIST" else "map"}_{len(self.anonymous_names)}'
            self.anonymous_names[key] = name
            low, high = bounds(limits)
            of_key = f'.key = &{map_key}, ' if map_key else f'.element_wire = {c_text(wire)}, ' if wire else ''
            self.emit(f'static const struct model_shape {name} = {{.kind = {kind}, .name = "", {of_key}.element = &{element}, '
                      f'.min = {low}, .max = {high}}};')
        return self.anonymous_names[key]

    def member_row(self, service, text):
        name, required, type_text, wire_out, wire_in, where = read_member(service, text)
        self.members[name] = True
        return (f'    {{M_{name}, {c_text(name)}, {c_text(wire_in)}, {c_text(wire_out)}, '
                f'&{self.shape_ref(service, type_text)}, {"true" if required else "false"}, LOCATION_{where.upper()}}},')

    def struct(self, service, c_name, name, text):
        rows = [self.member_row(service, part) for part in split_members(text)]
        if rows:
            self.emit(f'static const struct model_member {c_name}_members[] = {{')
            for row in rows:
                self.emit(row)
            self.emit('};')
        members = f'{c_name}_members' if rows else 'NULL'
        self.emit(f'static const struct model_shape {c_name} = {{.kind = DOC_STRUCT, .name = {c_text(name)}, '
                  f'.members = {members}, .member_count = {len(rows)}, .min = MODEL_NO_MIN, .max = MODEL_NO_MAX}};')

    def check_arn(self, service, op):
        """What stands in braces is a member of the input, or of the structs of its list."""
        members = {row[0]: row[2] for row in (read_member(service, part) for part in split_members(op['in']))}
        for name in re.findall(r'{([^}]*)}', op['options'].get('arn', '')):
            member, _, part = name.split(':')[0].partition('.')
            if member in ('region', 'account'):
                continue
            inner = members.get(member)
            if inner is not None and part:
                kind, element, *_ = read_type(inner)
                body = service.types[element][1]['members'] if kind == 'list' and element in service.types else ''
                inner = next((row[0] for row in (read_member(service, text) for text in split_members(body))
                              if row[0] == part), None)
            if inner is None:
                raise Bad(f'{service.path}: {op["name"]} has no member {member}{"." + part if part else ""}')

    def service_tables(self, service):
        self.service, self.anonymous_names = service, {}
        self.emit(f'\n/* {service.name} */')
        for name, what in service.types.items():  # Structs may be recursive: announce all first.
            self.emit(f'static const struct model_shape {service.name}_{name};')
        for name, what in service.types.items():
            c_name = f'{service.name}_{name}'
            if what[0] == 'enum':
                self.emit(f'static const char *const {c_name}_values[] = '
                          f'{{{", ".join(c_text(v) for v in what[1])}, NULL}};')
                self.emit(f'static const struct model_shape {c_name} = {{.kind = DOC_TEXT, .name = {c_text(name)}, '
                          f'.values = {c_name}_values, .min = MODEL_NO_MIN, .max = MODEL_NO_MAX}};')
            elif what[0] == 'scalar':
                low, high = bounds(what[2])
                bits = ', .bits32 = true' if what[1] == 'int' else ''
                self.emit(f'static const struct model_shape {c_name} = {{.kind = {BASES[what[1]]}, '
                          f'.name = {c_text(name)}, .min = {low}, .max = {high}{bits}}};')
            else:
                self.struct(service, c_name, name, what[1]['members'])
        for op in service.ops:
            self.check_arn(service, op)
            self.struct(service, f'{service.name}_{op["name"]}_in', '', op['in'])
            if op['out'] is not None:
                self.struct(service, f'{service.name}_{op["name"]}_out', '', op['out'])
        self.emit(f'static const struct model_op {service.name}_ops[] = {{')
        for op in service.ops:
            options = op['options']
            flags = ' | '.join(f'OP_{word.upper()}' for word in ('writes', 'unsigned', 'judges') if word in options) or '0'
            method, path = options['http'].split(':', 1) if 'http' in options else (None, None)
            out = 'NULL' if op['out'] is None else f'&{service.name}_{op["name"]}_out'
            self.emit(f'    {{{c_text(op["name"])}, {service.name}_{snake(op["name"])}, '
                      f'&{service.name}_{op["name"]}_in, {out}, {flags}, {c_text(options.get("arn", "*"))}, '
                      f'{c_text(method)}, {c_text(path)}}},')
        self.emit('};')
        if service.errors:
            self.emit(f'static const struct model_error {service.name}_errors[] = {{')
            for shape, code, status in service.errors:
                self.emit(f'    {{{c_text(shape)}, {c_text(code)}, {status}}},')
            self.emit('};')
        protocols = ' | '.join(PROTOCOLS[p] for p in service.protocols)
        errors = f'{service.name}_errors' if service.errors else 'NULL'
        self.emit(f'static const struct model_service {service.name}_service_model = {{{c_text(service.name)}, '
                  f'{protocols}, {c_text(service.version)}, {c_text(service.sign)}, {c_text(service.xmlns)}, '
                  f'{c_text(service.target)}, {service.name}_ops, {len(service.ops)}, {errors}, '
                  f'{len(service.errors)}}};')

    def compile(self):
        for base, kind in BASES.items():
            bits = ', .bits32 = true' if base == 'int' else ''
            self.emit(f'__attribute__((unused)) static const struct model_shape shape_{base} = {{.kind = {kind}, '
                      f'.name = "", .min = MODEL_NO_MIN, .max = MODEL_NO_MAX{bits}}};')
        for service in self.services:
            self.service_tables(service)
        self.emit('\nstatic const struct model_service *const services[] = {')
        for service in self.services:
            self.emit(f'    &{service.name}_service_model,')
        self.emit('    NULL,\n};')
        self.emit(f'const struct model {self.symbol} = {{services, {len(self.services)}}};')
        return self.out


MADE = '/* Made by tools/api.py from the .api files. */'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', required=True, type=pathlib.Path)
    parser.add_argument('--symbol', default='api')
    parser.add_argument('files', nargs='*', type=pathlib.Path)
    args = parser.parse_args()
    try:
        services = [Service(path) for path in sorted(args.files)]
        compiler = Compiler(services, args.symbol)
        tables = compiler.compile()
    except Bad as bad:
        sys.exit(f'api.py: {bad}')
    members = sorted(compiler.members)
    lines = [MADE, '#ifndef API_MEMBERS_H', '#define API_MEMBERS_H', '', 'enum member {', '    M_NONE,']
    lines += [f'    M_{name},' for name in members] + ['};', '', '#endif']
    (args.out / 'members.h').write_text('\n'.join(lines) + '\n')
    lines = [MADE, '#ifndef API_HANDLERS_H', '#define API_HANDLERS_H', '', '#include "wire/model.h"', '']
    lines += [f'handler_fn {s.name}_{snake(op["name"])};' for s in services for op in s.ops] + ['', '#endif']
    (args.out / 'handlers.h').write_text('\n'.join(lines) + '\n')
    lines = [MADE, '#ifndef API_API_H', '#define API_API_H', '', '#include "wire/model.h"', '',
             f'extern const struct model {args.symbol};', '', '#endif']
    (args.out / 'api.h').write_text('\n'.join(lines) + '\n')
    head = [MADE, '#include "api.h"', '#include "handlers.h"', '#include "members.h"', '']
    (args.out / 'models.c').write_text('\n'.join(head + tables) + '\n')


if __name__ == '__main__':
    main()
