"""The microservice beside the same service by Flask, and beside what libmicrohttpd alone can do."""
import os

import common

NAMES = 10000
CLIENTS = 64


def run(bench):
    store = bench.musterd()
    bench.make_table(store)
    bench.become_role(store)
    common.put_many(store, (f'name-{i}' for i in range(1, NAMES + 1)), lambda name: {'CandidateName': {'S': name}})
    ours, flask = bench.candidate(store), bench.flask(store)
    tuned = bench.flask(store, '--workers', 2 * os.cpu_count() + 1, '--worker-class', 'gthread', '--threads', 4, name='flask-tuned')
    port = common.free_port()
    mhd = bench.start('mhd', [common.BUILD / 'bench/mhd', port], port)

    def load(server, method, what, **named):
        return lambda: bench.wrk(server, 'candidate', CLIENTS, method, what, **named)

    tops = {}
    for figure, method, goal in (('GET /candidate/NAME', 'GET', '35'), ('POST /candidate/NAME', 'POST', '25')):
        tops[figure] = bench.compare(figure, 'Flask', load(ours, method, NAMES, cpu_of=(ours, store)),
                                     load(flask, method, NAMES), goal)
        bench.compare(figure, f'Flask, {2 * os.cpu_count() + 1} workers', load(ours, method, NAMES), load(tuned, method, NAMES))
    bench.compare('GET /gtg', 'Flask', load(ours, 'GET', '/gtg'), load(flask, 'GET', '/gtg'))
    tops['GET /gtg'] = bench.compare('GET /gtg', 'bare libmicrohttpd', load(ours, 'GET', '/gtg'), load(mhd, 'GET', '/gtg'), '0.8')
    for figure, loads in tops.items():
        bench.table.add(f'{figure}, p99 at its top rate', [one.p99_ms for one in loads], 'ms')
    for figure, method, what in (('GET /candidate/NAME', 'GET', NAMES), ('POST /candidate/NAME', 'POST', NAMES),
                                 ('GET /gtg', 'GET', '/gtg')):
        rate = sorted(one.rate for one in tops[figure])[len(tops[figure]) // 2] / 2
        pause_ms = max(1, round(CLIENTS / rate * 1000))
        results = bench.in_turns(ours=lambda m=method, w=what, p=pause_ms: bench.wrk(
            ours, 'candidate', CLIENTS, m, w, p))['ours']
        bench.table.add(f'{figure}, p99 at half its top rate', [one.p99_ms for one in results], 'ms', goal='< 5')
    through, flask_through = bench.haproxy(ours), bench.haproxy(flask)
    for figure, method in (('GET, HAProxy in front', 'GET'), ('POST, HAProxy in front', 'POST')):
        loads = bench.compare(figure, 'Flask', load(through, method, NAMES), load(flask_through, method, NAMES))
        bench.table.add(f'{figure}, p99', [one.p99_ms for one in loads], 'ms')
    for figure in ('GET /candidate/NAME', 'POST /candidate/NAME'):
        bench.table.add(f'{figure}, CPU of candidate and musterd', [one.cpu_us for one in tops[figure]], 'us')
    bench.table.notes += [
        '', f'{CLIENTS} clients, {NAMES:,} names, every process on the same cores; both services over the same musterd, whose puts '
        'are on disk before they are answered. Flask runs under gunicorn as that comes (one worker), then with as many workers as '
        'its documentation advises, of 4 threads each. HAProxy stands alone in front of one service, without containers.']
