"""DynamoDB through real clients: boto3 and the AWS CLI."""
import concurrent.futures
import decimal
import json
import signal
import threading

import boto3.dynamodb.conditions
import boto3.dynamodb.types
import botocore.exceptions
import pytest

import daemon

pytestmark = pytest.mark.clients


def resource(muster):
    key, secret = muster.credentials
    return boto3.Session().resource(
        'dynamodb', endpoint_url=muster.endpoint, region_name=daemon.REGION,
        aws_access_key_id=key, aws_secret_access_key=secret)


def make_table(muster, name, hash_key=('p', 'S'), range_key=None):
    client = muster.client('dynamodb')
    keys = [hash_key] + ([range_key] if range_key else [])
    client.create_table(
        TableName=name, BillingMode='PAY_PER_REQUEST',
        KeySchema=[{'AttributeName': key, 'KeyType': kind} for (key, _), kind in zip(keys, ('HASH', 'RANGE'))],
        AttributeDefinitions=[{'AttributeName': key, 'AttributeType': kind} for key, kind in keys])
    daemon.wait(lambda: client.describe_table(TableName=name)['Table']['TableStatus'] == 'ACTIVE',
                f'{name} to be ACTIVE')
    return client


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response['Error']['Code'], caught.value.response


def test_a_table_is_made_described_tagged_and_deleted(sim):
    client = sim.client('dynamodb')
    created = client.create_table(
        TableName='Life', BillingMode='PAY_PER_REQUEST',
        KeySchema=[{'AttributeName': 'CandidateName', 'KeyType': 'HASH'}],
        AttributeDefinitions=[{'AttributeName': 'CandidateName', 'AttributeType': 'S'}],
        Tags=[{'Key': 'team', 'Value': 'red'}])['TableDescription']
    assert created['TableStatus'] == 'CREATING'
    assert refused(client.create_table, TableName='Life', BillingMode='PAY_PER_REQUEST',
                   KeySchema=created['KeySchema'],
                   AttributeDefinitions=created['AttributeDefinitions'])[0] == 'ResourceInUseException'
    client.get_waiter('table_exists').wait(TableName='Life', WaiterConfig={'Delay': 1})
    table = client.describe_table(TableName='Life')['Table']
    assert table['TableArn'] == f'arn:aws:dynamodb:{daemon.REGION}:000000000000:table/Life'
    if daemon.NEWER:
        assert table['WarmThroughput']['Status'] == 'ACTIVE'  # Terraform waits for it.
    assert table['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST'
    assert client.list_tags_of_resource(ResourceArn=table['TableArn'])['Tags'] == [{'Key': 'team', 'Value': 'red'}]
    assert 'Life' in client.list_tables()['TableNames']
    assert client.describe_time_to_live(TableName='Life')['TimeToLiveDescription']['TimeToLiveStatus'] == 'DISABLED'
    client.describe_continuous_backups(TableName='Life')
    assert client.delete_table(TableName='Life')['TableDescription']['TableStatus'] == 'DELETING'
    client.get_waiter('table_not_exists').wait(TableName='Life', WaiterConfig={'Delay': 1})
    code, response = refused(client.describe_table, TableName='Life')
    assert code == 'ResourceNotFoundException'
    assert response['Error']['Message'] == 'Requested resource not found: Table: Life not found'


def test_every_type_comes_back_as_it_went(sim):
    make_table(sim, 'Types')
    table = resource(sim).Table('Types')
    item = {
        'p': 'é\U0001f600', 'number': decimal.Decimal('-1.2345678901234567890123456789012345678'),
        'binary': boto3.dynamodb.types.Binary(b'\x00\xff'), 'yes': True, 'nothing': None,
        'list': ['a', decimal.Decimal(1), [False, None]], 'map': {'k': {'deep': decimal.Decimal('0.1')}},
        'strings': {'a', 'b'}, 'numbers': {decimal.Decimal(1), decimal.Decimal('2.5')},
        'binaries': {boto3.dynamodb.types.Binary(b'x')}, 'empty': '', 'no list': [], 'no map': {},
    }
    table.put_item(Item=item)
    assert table.get_item(Key={'p': item['p']})['Item'] == item
    assert 'Item' not in table.get_item(Key={'p': 'other'})


def test_of_many_creators_one_wins(sim):
    client = make_table(sim, 'Race')

    def create(number):
        try:
            client.put_item(TableName='Race', Item={'p': {'S': 'key'}, 'by': {'N': str(number)}},
                            ConditionExpression='attribute_not_exists(p)')
            return 'won'
        except client.exceptions.ConditionalCheckFailedException:
            return 'lost'

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = list(pool.map(create, range(64)))
    assert results.count('won') == 1


@pytest.mark.skipif(not daemon.NEWER, reason='boto3 does not know the parameter yet')
def test_a_failed_condition_can_show_the_item(sim):
    client = make_table(sim, 'Shown')
    client.put_item(TableName='Shown', Item={'p': {'S': 'key'}, 'n': {'N': '1'}})
    code, response = refused(client.put_item, TableName='Shown', Item={'p': {'S': 'key'}},
                             ConditionExpression='attribute_not_exists(p)',
                             ReturnValuesOnConditionCheckFailure='ALL_OLD')
    assert code == 'ConditionalCheckFailedException'
    assert response['Error']['Message'] == 'The conditional request failed'
    assert response['Item'] == {'p': {'S': 'key'}, 'n': {'N': '1'}}


def test_no_increment_is_lost(sim):
    client = make_table(sim, 'Counter')

    def add(_):
        client.update_item(TableName='Counter', Key={'p': {'S': 'c'}}, UpdateExpression='ADD n :one',
                           ExpressionAttributeValues={':one': {'N': '1'}})

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(200)))
    assert client.get_item(TableName='Counter', Key={'p': {'S': 'c'}})['Item']['n'] == {'N': '200'}


def test_a_query_keeps_order_and_pages(sim):
    client = make_table(sim, 'Ordered', range_key=('s', 'N'))
    numbers = [-1000, -1.5, -1, 0, 0.001, 2, 10, 10.5, 1e20]
    for number in reversed(numbers):
        client.put_item(TableName='Ordered', Item={'p': {'S': 'x'}, 's': {'N': repr(number)}})
    client.put_item(TableName='Ordered', Item={'p': {'S': 'other'}, 's': {'N': '1'}})
    table = resource(sim).Table('Ordered')
    key = boto3.dynamodb.conditions.Key

    def query(**arguments):
        return [float(item['s']) for item in table.query(**arguments)['Items']]

    assert query(KeyConditionExpression=key('p').eq('x')) == numbers
    assert query(KeyConditionExpression=key('p').eq('x'), ScanIndexForward=False) == numbers[::-1]
    assert query(KeyConditionExpression=key('p').eq('x') & key('s').between(-1, 10)) == [-1, 0, 0.001, 2, 10]
    pages = client.get_paginator('query').paginate(
        TableName='Ordered', KeyConditionExpression='p = :p', ExpressionAttributeValues={':p': {'S': 'x'}},
        PaginationConfig={'PageSize': 2})
    assert [float(item['s']['N']) for page in pages for item in page['Items']] == numbers


def test_a_scan_pages_by_megabytes_and_segments(sim):
    client = make_table(sim, 'Large')
    for start in range(0, 50, 5):
        client.batch_write_item(RequestItems={'Large': [
            {'PutRequest': {'Item': {'p': {'S': str(number)}, 'fill': {'S': 'x' * 100000}}}}
            for number in range(start, start + 5)]})
    pages = list(client.get_paginator('scan').paginate(TableName='Large'))
    assert len(pages) >= 5
    assert sorted(int(item['p']['S']) for page in pages for item in page['Items']) == list(range(50))
    seen = [int(item['p']['S']) for segment in range(3)
            for page in client.get_paginator('scan').paginate(TableName='Large', TotalSegments=3, Segment=segment)
            for item in page['Items']]
    assert sorted(seen) == list(range(50))
    counted = client.scan(TableName='Large', Select='COUNT', ReturnConsumedCapacity='TOTAL')
    assert 'Items' not in counted and counted['ConsumedCapacity']['CapacityUnits'] > 100


def test_a_page_with_a_costly_filter_ends_sooner(sim):
    """A megabyte of small items times hundreds of operands would keep everybody waiting for seconds."""
    client = make_table(sim, 'Small')
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda start: client.batch_write_item(RequestItems={'Small': [
            {'PutRequest': {'Item': {'p': {'S': str(number)}}}} for number in range(start, start + 25)]}), range(0, 4000, 25)))
    costly = {'TableName': 'Small', 'FilterExpression': ' OR '.join(['p IN (' + ', '.join([':v'] * 70) + ')'] * 10),
              'ExpressionAttributeValues': {':v': {'S': '3999'}}}
    pages = list(client.get_paginator('scan').paginate(**costly))
    assert len(pages) == 2 and sum(page['ScannedCount'] for page in pages) == 4000
    assert [item['p']['S'] for page in pages for item in page.get('Items', [])] == ['3999']
    assert 'LastEvaluatedKey' not in client.scan(TableName='Small')


def test_a_transaction_has_a_bound_of_what_its_conditions_compare(sim):
    """Hundreds of operands times 100,000 elements, in each of many items: others' writes wait for it."""
    client = make_table(sim, 'Wide')
    for name in '123':
        client.put_item(TableName='Wide', Item={'p': {'S': name}, 'l': {'L': [{'S': ''}] * 100000}})
    costly = {'ConditionExpression': 'NOT (' + ' OR '.join(['contains(l, :v)'] * 140) + ')',
              'ExpressionAttributeValues': {':v': {'S': 'not there'}}}
    with pytest.raises(botocore.exceptions.ClientError, match='may compare 10000000 operands'):
        client.transact_write_items(TransactItems=[
            {'Delete': {'TableName': 'Wide', 'Key': {'p': {'S': name}}, **costly}} for name in '123'])
    client.delete_item(TableName='Wide', Key={'p': {'S': '1'}}, **costly)  # One alone may.
    assert client.scan(TableName='Wide', Select='COUNT')['Count'] == 2


def test_a_transaction_is_all_or_nothing(sim):
    client = make_table(sim, 'Moves')
    client.put_item(TableName='Moves', Item={'p': {'S': 'from'}, 'n': {'N': '100'}})

    def move(_):
        try:
            client.transact_write_items(TransactItems=[
                {'Update': {'TableName': 'Moves', 'Key': {'p': {'S': 'from'}}, 'UpdateExpression': 'ADD n :minus',
                            'ConditionExpression': 'n >= :least',
                            'ExpressionAttributeValues': {':minus': {'N': '-7'}, ':least': {'N': '7'}}}},
                {'Update': {'TableName': 'Moves', 'Key': {'p': {'S': 'to'}}, 'UpdateExpression': 'ADD n :plus',
                            'ExpressionAttributeValues': {':plus': {'N': '7'}}}}])
            return None
        except client.exceptions.TransactionCanceledException as cancelled:
            return [reason['Code'] for reason in cancelled.response['CancellationReasons']]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(move, range(20)))
    assert results.count(None) == 14
    assert results.count(['ConditionalCheckFailed', 'None']) == 6
    got = client.transact_get_items(TransactItems=[
        {'Get': {'TableName': 'Moves', 'Key': {'p': {'S': key}}}} for key in ('from', 'to')])['Responses']
    assert [item['Item']['n']['N'] for item in got] == ['2', '98']


def test_errors_are_dynamodbs_own(sim):
    client = make_table(sim, 'Errors')
    code, response = refused(client.put_item, TableName='Errors', Item={'q': {'S': 'x'}})
    assert code == 'ValidationException'
    assert response['ResponseMetadata']['HTTPStatusCode'] == 400
    assert response['Error']['Message'] == 'One or more parameter values were invalid: Missing the key p in the item'
    assert refused(client.get_item, TableName='Nowhere', Key={'p': {'S': 'x'}})[0] == 'ResourceNotFoundException'
    code, response = refused(client.scan, TableName='Errors', FilterExpression='name = :x',
                             ExpressionAttributeValues={':x': {'S': 'x'}})
    assert response['Error']['Message'] == ('Invalid FilterExpression: Attribute name is a reserved keyword;'
                                            ' reserved keyword: name')


def test_the_cli_puts_and_scans(sim):
    make_table(sim, 'Cli')
    sim.aws('dynamodb', 'put-item', '--table-name', 'Cli', '--item', json.dumps({'p': {'S': 'x'}}))
    assert sim.aws('dynamodb', 'scan', '--table-name', 'Cli')['Items'] == [{'p': {'S': 'x'}}]


@pytest.mark.crash
def test_what_was_answered_survives_a_kill(sim):
    client = make_table(sim, 'Durable')
    answered, stop = set(), threading.Event()

    def flood(worker):
        number = 0
        while not stop.is_set():
            key = f'{worker}-{number}'
            try:
                client.put_item(TableName='Durable', Item={'p': {'S': key}})
            except botocore.exceptions.BotoCoreError:
                return
            answered.add(key)
            number += 1

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(flood, worker) for worker in range(8)]
        daemon.wait(lambda: len(answered) > 300, '300 answered puts')
        sim.kill(signal.SIGKILL)
        stop.set()
        concurrent.futures.wait(workers)
    sim.start()
    client = sim.client('dynamodb')
    found = {item['p']['S'] for page in client.get_paginator('scan').paginate(TableName='Durable')
             for item in page['Items']}
    assert answered <= found
