"""GET /candidates of a large table: the Scan's pages are streamed, the service's memory does not grow with them."""
import http.client
import time

import common

ITEMS = 100000


def run(bench):
    items = 10000 if bench.quick else ITEMS
    store = bench.musterd()
    bench.make_table(store)
    bench.become_role(store)
    common.put_many(store, (f'candidate-{i:014d}' for i in range(items)),
                    lambda key: {'CandidateName': {'S': key}, 'Note': {'S': 'x' * 60}})
    services = {'ours': bench.candidate(store), 'theirs': bench.flask(store)}

    def read_all(service):
        begin, read = time.monotonic(), 0
        connection = http.client.HTTPConnection('127.0.0.1', service.port, timeout=120)
        connection.request('GET', '/candidates')
        answer = connection.getresponse()
        last = b''
        while piece := answer.read(1 << 16):
            read += piece.count(b'"CandidateName"')
            if last and (last[-14:] + piece[:14]).count(b'"CandidateName"'):
                read += 1
            last = piece
        connection.close()
        if read != items or answer.status != 200 or not last.endswith(b']'):
            raise RuntimeError(f'{service.name}: {answer.status}, {read} of {items} items')
        return items / (time.monotonic() - begin)

    at_rest = services['ours'].memory_kib()
    results = bench.in_turns(**{name: lambda s=service: read_all(s) for name, service in services.items()})
    bench.table.add(f'GET /candidates, {items:,} items', results['ours'], 'items/s', 'Flask', results['theirs'])
    bench.table.add('Memory that candidate took for it', [max(services['ours'].memory_kib('VmHWM') - at_rest, 0) / 1024], 'MiB',
                    'Flask', [services['theirs'].memory_kib('VmHWM') / 1024], goal='constant', note='(at its peak, beyond rest)')
