"""DynamoDB on SQLite, every put on disk before its answer, beside dynalite, which does not wait for the disk."""
import common

KEYS = 20000


def item(key):
    return {'CandidateName': {'S': key}, 'Party': {'S': 'a party of some name'}, 'Votes': {'N': '123456'},
            'Note': {'S': 'x' * 60}}


def run(bench):
    muster, dynalite = bench.musterd(), bench.dynalite()
    keys = [f'candidate-{i:014d}' for i in range(KEYS)]
    for server in (muster, dynalite):
        bench.make_table(server)
        common.put_many(server, keys, item)

    # In an order that jumps about the table, as clients do.
    scattered = [keys[i * 7919 % KEYS] for i in range(KEYS)]
    requests = {
        'PutItem': [('PutItem', {'TableName': common.TABLE, 'Item': item(key)}) for key in scattered],
        'GetItem': [('GetItem', {'TableName': common.TABLE, 'Key': {'CandidateName': {'S': key}}}) for key in scattered],
    }

    def load(server, action, clients, **named):
        def once():
            path = bench.directory / f'{server.name}-{action}'
            common.Signer(server).file(path, requests[action])  # Signatures hold for five minutes.
            return bench.wrk(server, 'signed', clients, path, **named)
        return once

    puts = {}
    for clients, goal in ((16, '1.5'), (64, '2'), (256, '3')):
        puts[clients] = bench.compare(f'PutItem, {clients} connections', 'dynalite', load(muster, 'PutItem', clients,
                                      cpu_of=[muster]), load(dynalite, 'PutItem', clients), goal)
    for clients in (16, 64):
        gets = bench.compare(f'GetItem, {clients} connections', 'dynalite', load(muster, 'GetItem', clients, cpu_of=[muster]),
                             load(dynalite, 'GetItem', clients), '3')
    bench.table.add('PutItem, 64 connections, p99', [one.p99_ms for one in puts[64]], 'ms', goal='< 20')
    bench.table.add('PutItem, 64 connections, CPU of musterd', [one.cpu_us for one in puts[64]], 'us')
    bench.table.add('GetItem, 64 connections, CPU of musterd', [one.cpu_us for one in gets], 'us')
    bench.table.notes += ['', f'{KEYS:,} items of about 170 bytes; a round of puts runs over several checkpoints.']
