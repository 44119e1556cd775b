"""Bodies as no client writes them: a value of another type, a name that is no name, CBOR of every kind."""
import copy
import datetime
import json
import struct

OTHERS = [None, True, False, 0, -1, 1.5, 1e308, 2 ** 31, 2 ** 63, 2 ** 64 - 1, -2 ** 63, '', 'x', 'x' * 5000, '\x00', 'NaN', [], [None], [[]],
          [1, 'x', {}], {}, {'': None}, {'S': 1}, {'a': {'a': {'a': 1}}}]


def paths(tree, to=()):
    """To everything in a tree of parameters."""
    yield to
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield from paths(tree[key], (*to, key))


def spoiled(random, tree, others=OTHERS):
    """A copy with one thing in it something else."""
    tree = copy.deepcopy(tree)
    *to, last = random.choice([path for path in paths(tree) if path] or [('x',)])
    within = tree
    for key in to:
        within = within[key]
    if isinstance(within, dict) and random.random() < 0.2:
        within[random.choice(['', 'x', 'S', 'Name', '\x00', 'ä€🗳'])] = random.choice(others)
    else:
        within[last] = random.choice(others)
    return tree


def spoiled_json(random, body):
    text = json.dumps(spoiled(random, json.loads(body)))
    if random.random() < 0.1:
        at = random.randrange(len(text) + 1)
        text = text[:at] + random.choice(['', '{', '}', '"', '\\', ',', ' ', 'null', '\\ud800', '[' * 5000]) + text[at + random.choice([0, 1, 5]):]
    return text.encode('utf-8', 'surrogatepass')


def spoiled_form(random, fields):
    """Names and values of a query request, as botocore has them before they are joined."""
    fields = dict(fields)
    name = random.choice([name for name in fields if name not in ('Action', 'Version')] or ['x'])
    value = fields.pop(name, 'x')
    name = random.choice([
        lambda: name + '.1', lambda: name + '.x', lambda: name.rpartition('.')[0] or 'x', lambda: name.replace('1', '0'),
        lambda: name.replace('1', '999999999999'), lambda: name.replace('member', 'entry'), lambda: '.' + name, lambda: name + '.',
        lambda: name.replace('.', '..'), lambda: name.lower(), lambda: name])()
    fields[name] = random.choice([value, '', '\x00', 'x' * 5000, '-1', '1.5', 'true', '1e400', '99999999999999999999', '=&%'])
    return fields


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for code, size in ((24, 'B'), (25, '>H'), (26, '>I'), (27, '>Q')):
        if number < 2 ** (8 * struct.calcsize(size)):
            return bytes([major << 5 | code]) + struct.pack(size, number)
    raise ValueError(number)


def cbor(value):
    """Bytes are taken for CBOR already."""
    if isinstance(value, bytes):
        return value
    if value is None or isinstance(value, bool):
        return b'\xf6' if value is None else b'\xf5' if value else b'\xf4'
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b'\xfb' + struct.pack('>d', value)
    if isinstance(value, datetime.datetime):
        return b'\xc1' + cbor(value.timestamp())
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b''.join(map(cbor, value))
    return head(5, len(value)) + b''.join(cbor(key) + cbor(one) for key, one in value.items())


CBOR_OTHERS = OTHERS + [bytes.fromhex(text) for text in (
    'f7', 'e0', 'f8ff', 'f93c00', 'f97e00', 'fa7f800000', 'fb3ff0000000000000', '4101', '5f4101ff', '7f6161ff', '9fff', 'bfff', '9f01ff',
    'bf616101ff', 'c001', 'c16161', 'c1f97e00', 'c1fb7fefffffffffffff', 'd9d9f701', '1bffffffffffffffff', '3bffffffffffffffff', '9b00000000ffffffff',
    '5bffffffffffffffff', 'ff', '81' * 100 + '00', '61ff', 'a1f6f6', 'a2616100616101')]


def spoiled_cbor(random, parameters):
    body = cbor(spoiled(random, parameters, CBOR_OTHERS))
    if random.random() < 0.1:
        at = random.randrange(len(body) + 1)
        body = body[:at] + random.choice([b'', b'\xff', b'\x00', b'\xf9']) + body[at + random.choice([0, 1, 3]):]
    return body
