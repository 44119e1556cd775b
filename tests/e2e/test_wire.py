"""The wire, IAM and STS through real clients: who may come in, as whom, and what they are told."""
import concurrent.futures
import datetime
import http.client
import json
import os
import pathlib
import subprocess

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

import daemon

ACCOUNT = '000000000000'
TRUST_EC2 = json.dumps({'Version': '2012-10-17', 'Statement': [{
    'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})


def trust(arn):
    return json.dumps({'Version': '2012-10-17', 'Statement': [{
        'Effect': 'Allow', 'Principal': {'AWS': arn}, 'Action': 'sts:AssumeRole'}]})


def policy(effect, action, resource='*', **more):
    return {'Effect': effect, 'Action': action, 'Resource': resource, **more}


def document(*statements):
    return json.dumps({'Version': '2012-10-17', 'Statement': list(statements)})


def refused(call, *arguments, **more):
    """(code, HTTP status, message) of the ClientError that the call must raise."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*arguments, **more)
    answer = caught.value.response
    assert answer['ResponseMetadata']['RequestId']
    return answer['Error']['Code'], answer['ResponseMetadata']['HTTPStatusCode'], answer['Error'].get('Message', '')


def raw(muster, body=b'', headers=None, method='POST', path='/'):
    """One HTTP exchange without any client's help: (status, headers, body)."""
    connection = http.client.HTTPConnection('127.0.0.1', muster.port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors='replace')
    finally:
        connection.close()


def signed(muster, service, body, headers=None, when=None, secret=None, region=daemon.REGION, path='/'):
    """A POST signed by botocore's signer, at another time if need be."""
    key, own_secret = muster.credentials
    request = botocore.awsrequest.AWSRequest('POST', muster.endpoint + path, data=body, headers=headers or {
        'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8'})
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret or own_secret), service, region)
    if when is not None:
        class Then(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return when

            @classmethod
            def now(cls, tz=None):
                return when
        patch = pytest.MonkeyPatch()
        if hasattr(botocore.auth, 'get_current_datetime'):
            patch.setattr(botocore.auth, 'get_current_datetime', lambda remove_tzinfo=True: when)
        else:
            class Module:
                datetime = Then
            patch.setattr(botocore.auth, 'datetime', Module)
        try:
            signer.add_auth(request)
        finally:
            patch.undo()
    else:
        signer.add_auth(request)
    return raw(muster, body, dict(request.headers.items()), path=path)


def make_user(muster, name, *statements):
    """A user with one inline policy: its name and a client factory with its key."""
    iam = muster.client('iam')
    arn = iam.create_user(UserName=name)['User']['Arn']
    if statements:
        iam.put_user_policy(UserName=name, PolicyName='p', PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName=name)['AccessKey']
    return arn, lambda service: muster.client(service, key['AccessKeyId'], key['SecretAccessKey'])


@pytest.mark.clients
def test_root_is_who_the_credentials_file_says(sim):
    assert os.stat(sim.state_dir / 'credentials').st_mode & 0o777 == 0o600
    answer = sim.client('sts').get_caller_identity()
    assert answer['Arn'] == f'arn:aws:iam::{ACCOUNT}:root'
    assert answer['Account'] == answer['UserId'] == ACCOUNT
    assert answer['ResponseMetadata']['HTTPHeaders']['x-amzn-requestid'] == answer['ResponseMetadata']['RequestId']


@pytest.mark.clients
def test_the_cli_knows_who_it_is(sim):
    assert sim.aws('sts', 'get-caller-identity')['Account'] == ACCOUNT


@pytest.mark.clients
def test_the_cli_is_told_why_not(sim):
    unsigned = sim.aws('sts', 'get-caller-identity', '--no-sign-request', check=False)
    assert 'MissingAuthenticationToken' in unsigned.stderr
    environment = {**sim.environment(), 'AWS_SECRET_ACCESS_KEY': 'wrong'}
    done = subprocess.run([daemon.AWS, '--endpoint-url', sim.endpoint, 'dynamodb', 'list-tables'],
                          env=environment, capture_output=True, text=True, timeout=120)
    assert 'InvalidSignatureException' in done.stderr


@pytest.mark.clients
@pytest.mark.parametrize('service, call, codes', [
    ('sts', 'get_caller_identity', {'key': ('InvalidClientTokenId', 403), 'secret': ('SignatureDoesNotMatch', 403)}),
    ('iam', 'list_users', {'key': ('InvalidClientTokenId', 403), 'secret': ('SignatureDoesNotMatch', 403)}),
    ('ec2', 'describe_vpcs', {'key': ('AuthFailure', 401), 'secret': ('AuthFailure', 401)}),
    ('dynamodb', 'list_tables', {'key': ('UnrecognizedClientException', 400),
                                 'secret': ('InvalidSignatureException', 400)}),
])
def test_strangers_are_refused_in_each_protocol(sim, service, call, codes):
    stranger = sim.client(service, key='AKIAIOSFODNN7EXAMPLE')
    assert refused(getattr(stranger, call))[:2] == codes['key']
    forger = sim.client(service, secret='wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY')
    assert refused(getattr(forger, call))[:2] == codes['secret']
    tokened = sim.client(service, key='ASIAIOSFODNN7EXAMPLE', token='FwoGZXIvYXdzEXAMPLE')
    assert refused(getattr(tokened, call))[:2] == codes['key']


@pytest.mark.clients
def test_unsigned_requests_are_refused(sim):
    status, headers, body = raw(sim, b'Action=GetCallerIdentity&Version=2011-06-15', {
        'Content-Type': 'application/x-www-form-urlencoded'})
    assert status == 403 and '<Code>MissingAuthenticationToken</Code>' in body
    assert headers['Content-Type'] == 'text/xml' and headers['x-amzn-RequestId'] in body and headers['Date']
    status, headers, body = raw(sim, b'{}', {'X-Amz-Target': 'DynamoDB_20120810.ListTables',
                                             'Content-Type': 'application/x-amz-json-1.0'})
    assert status == 400 and json.loads(body)['__type'].endswith('MissingAuthenticationTokenException')
    assert headers['Content-Type'] == 'application/x-amz-json-1.0' and headers['x-amz-crc32']


def test_old_and_future_signatures_are_refused(sim):
    form = b'Action=GetCallerIdentity&Version=2011-06-15'
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for minutes, status, says in ((-20, 403, 'Signature expired: '), (20, 403, 'Signature not yet current: '),
                                  (-2, 200, 'GetCallerIdentityResult')):
        answer = signed(sim, 'sts', form, when=now + datetime.timedelta(minutes=minutes))
        assert answer[0] == status and says in answer[2], answer


def test_another_region_is_refused(sim):
    status, _, body = signed(sim, 'dynamodb', b'{}', {'X-Amz-Target': 'DynamoDB_20120810.ListTables',
                             'Content-Type': 'application/x-amz-json-1.0'}, region='eu-west-1')
    assert status == 400 and "not 'eu-west-1'" in body
    form = b'Action=ListUsers&Version=2010-05-08'
    assert signed(sim, 'iam', form, region='us-east-1')[0] == 200  # IAM is global.


def test_a_changed_body_or_header_breaks_the_signature(sim):
    key, secret = sim.credentials
    request = botocore.awsrequest.AWSRequest('POST', sim.endpoint + '/', data=b'Action=ListUsers&Version=2010-05-08',
                                             headers={'Content-Type': 'application/x-www-form-urlencoded'})
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret), 'iam', daemon.REGION).add_auth(request)
    headers = dict(request.headers.items())
    assert raw(sim, b'Action=ListUsers&Version=2010-05-08', headers)[0] == 200
    assert raw(sim, b'Action=ListRoles&Version=2010-05-08', headers)[0] == 403
    assert raw(sim, b'Action=ListUsers&Version=2010-05-08', {**headers, 'Content-Type': headers['Content-Type'] + ';x'})[0] == 403
    assert raw(sim, b'Action=ListUsers&Version=2010-05-08', {**headers, 'Host': 'example.com'})[0] == 403


def test_presigned_urls(sim):
    url = sim.client('sts').generate_presigned_url('get_caller_identity', ExpiresIn=60, HttpMethod='GET')
    path = url[len(sim.endpoint):]
    status, _, body = raw(sim, b'', method='GET', path=path)
    assert status == 200 and f'arn:aws:iam::{ACCOUNT}:root' in body
    assert raw(sim, b'', method='GET', path=path.replace('Expires=60', 'Expires=61'))[0] == 403


def test_what_is_not_there_is_said_so(sim):
    status, _, body = signed(sim, 'iam', b'Action=CreateVirtualMFADevice&Version=2010-05-08')
    assert status == 400 and '<Code>InvalidAction</Code>' in body and 'Could not find operation' in body
    status, _, body = signed(sim, 'ec2', b'Action=RequestSpotFleet&Version=2016-11-15')
    assert status == 400 and '<Code>InvalidAction</Code>' in body and '<Response><Errors>' in body
    status, _, body = signed(sim, 'dynamodb', b'{}', {'X-Amz-Target': 'DynamoDB_20120810.ExecuteStatement',
                             'Content-Type': 'application/x-amz-json-1.0'})
    assert status == 400 and json.loads(body)['__type'] == 'UnknownOperationException'
    status, _, body = signed(sim, 'sqs', b'{}', {'X-Amz-Target': 'AmazonSQS.ListQueues',
                             'Content-Type': 'application/x-amz-json-1.0'})
    assert status == 400 and json.loads(body)['__type'] == 'UnknownOperationException'


@pytest.mark.parametrize('body, headers', [
    (b'\xff\xfe', {'Content-Type': 'application/x-www-form-urlencoded'}),
    (b'%', {'Content-Type': 'application/x-www-form-urlencoded'}),
    (b'Action=' + b'A' * 100000, {'Content-Type': 'application/x-www-form-urlencoded'}),
    (b'Action=ListUsers&Version=2010-05-08&' + b'.'.join([b'a'] * 10000), {'Content-Type': 'application/x-www-form-urlencoded'}),
    (b'[' * 100000, {'X-Amz-Target': 'DynamoDB_20120810.ListTables', 'Content-Type': 'application/x-amz-json-1.0'}),
    (b'{}', {'X-Amz-Target': '.', 'Content-Type': 'application/x-amz-json-1.0'}),
    (b'\x9b\xff\xff\xff\xff\xff\xff\xff\xff', {'smithy-protocol': 'rpc-v2-cbor', 'Content-Type': 'application/cbor'}),
    (b'x', {'Content-Encoding': 'gzip', 'Content-Type': 'application/x-www-form-urlencoded'}),
    (b'', {'Authorization': 'AWS4-HMAC-SHA256 ' + 'Credential=,' * 500}),
    (b'', {'Authorization': 'Basic dXNlcjpwYXNz'}),
])
def test_hostile_requests_get_an_answer(sim, body, headers):
    status, answered, _ = raw(sim, body, headers)
    assert 400 <= status < 500 and answered['x-amzn-RequestId']
    assert sim.client('sts').get_caller_identity()['Account'] == ACCOUNT


def test_constraints_are_named_as_aws_does(sim):
    iam = sim.client('iam', parameter_validation=False)
    code, status, text = refused(iam.create_role, RoleName='r')
    assert (code, status) == ('ValidationError', 400)
    assert text == ("1 validation error detected: Value null at 'assumeRolePolicyDocument' failed to satisfy "
                    'constraint: Member must not be null')
    assert refused(iam.create_role, RoleName='r', AssumeRolePolicyDocument='{')[0] == 'MalformedPolicyDocument'
    long = refused(iam.get_user, UserName='\u00e9' * 3000)
    assert long[0] == 'ValidationError' and long[2].startswith('1 validation error detected')


def test_a_user_may_what_its_policies_say(sim):
    arn, client = make_user(sim, 'ann', policy('Allow', 'iam:Get*'),
                            policy('Deny', 'iam:GetRole', f'arn:aws:iam::{ACCOUNT}:role/secret'))
    assert client('sts').get_caller_identity()['Arn'] == arn
    assert client('iam').get_user()['User']['UserName'] == 'ann'
    code, status, text = refused(client('iam').list_users)
    assert (code, status) == ('AccessDenied', 403)
    assert text == (f'User: {arn} is not authorized to perform: iam:ListUsers on resource: * because no '
                    'identity-based policy allows the iam:ListUsers action')
    text = refused(client('iam').get_role, RoleName='secret')[2]
    assert text.endswith('with an explicit deny in an identity-based policy')
    assert refused(client('dynamodb').list_tables)[:2] == ('AccessDeniedException', 400)
    assert refused(client('ec2').describe_vpcs)[:2] == ('UnauthorizedOperation', 403)
    assert refused(client('iam').get_role, RoleName='nobody')[:2] == ('NoSuchEntity', 404)


def test_each_table_of_a_batch_or_transaction_is_judged(sim):
    table = f'arn:aws:dynamodb:{daemon.REGION}:{ACCOUNT}:table/mine'
    _, client = make_user(sim, 'ben', policy('Allow', 'dynamodb:Batch*', table), policy('Allow', 'dynamodb:PutItem', table),
                          policy('Allow', 'dynamodb:GetItem', table))
    root, ben, key = sim.client('dynamodb'), client('dynamodb'), {'p': {'S': 'a'}}
    for name in ('mine', 'other'):
        root.create_table(TableName=name, BillingMode='PAY_PER_REQUEST', KeySchema=[{'AttributeName': 'p', 'KeyType': 'HASH'}],
                          AttributeDefinitions=[{'AttributeName': 'p', 'AttributeType': 'S'}])
        root.get_waiter('table_exists').wait(TableName=name, WaiterConfig={'Delay': 1})

    def calls(names):
        yield ben.batch_write_item, {'RequestItems': {name: [{'PutRequest': {'Item': key}}] for name in names}}
        yield ben.batch_get_item, {'RequestItems': {name: {'Keys': [key]} for name in names}}
        yield ben.transact_write_items, {'TransactItems': [{'Put': {'TableName': name, 'Item': key}} for name in names]}
        yield ben.transact_get_items, {'TransactItems': [{'Get': {'TableName': name, 'Key': key}} for name in names]}
    for names in (['mine'], [table]):
        for call, arguments in calls(names):
            call(**arguments)
    for call, arguments in calls(['mine', 'other']):
        code, _, text = refused(call, **arguments)
        assert code == 'AccessDeniedException' and 'table/other' in text
    code, _, text = refused(ben.transact_write_items, TransactItems=[{'Delete': {'TableName': 'mine', 'Key': key}}])
    assert code == 'AccessDeniedException' and 'dynamodb:DeleteItem' in text  # Not TransactWriteItems.


def test_keys_come_and_go(sim):
    iam = sim.client('iam')
    _, client = make_user(sim, 'keys')
    assert client('sts').get_caller_identity()['Arn'].endswith(':user/keys')
    second = iam.create_access_key(UserName='keys')['AccessKey']
    assert refused(iam.create_access_key, UserName='keys')[:2] == ('LimitExceeded', 409)
    keys = iam.list_access_keys(UserName='keys')['AccessKeyMetadata']
    assert second['AccessKeyId'] in [key['AccessKeyId'] for key in keys] and 'SecretAccessKey' not in keys[0]
    assert refused(iam.delete_user, UserName='keys')[:2] == ('DeleteConflict', 409)
    for key in keys:
        iam.delete_access_key(UserName='keys', AccessKeyId=key['AccessKeyId'])
    assert refused(client('sts').get_caller_identity)[0] == 'InvalidClientTokenId'
    iam.delete_user(UserName='keys')


def test_managed_policies_are_attached_and_count(sim):
    iam = sim.client('iam')
    _, client = make_user(sim, 'reader')
    assert refused(client('ec2').describe_vpcs)[0] == 'UnauthorizedOperation'
    arn = 'arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess'
    iam.attach_user_policy(UserName='reader', PolicyArn=arn)
    assert iam.list_attached_user_policies(UserName='reader')['AttachedPolicies'] == [
        {'PolicyName': 'AmazonEC2ReadOnlyAccess', 'PolicyArn': arn}]
    assert client('ec2').describe_vpcs()['Vpcs']
    iam.detach_user_policy(UserName='reader', PolicyArn=arn)
    assert refused(client('ec2').describe_vpcs)[0] == 'UnauthorizedOperation'
    assert refused(iam.attach_user_policy, UserName='reader',
                   PolicyArn='arn:aws:iam::aws:policy/NoSuchThing')[:2] == ('NoSuchEntity', 404)


def test_own_policies(sim):
    iam = sim.client('iam')
    made = iam.create_policy(PolicyName='own', PolicyDocument=document(policy('Allow', 'iam:ListUsers')))['Policy']
    version = iam.get_policy_version(PolicyArn=made['Arn'], VersionId=made['DefaultVersionId'])['PolicyVersion']
    assert version['Document']['Statement'][0]['Action'] == 'iam:ListUsers'
    _, client = make_user(sim, 'owner')
    iam.attach_user_policy(UserName='owner', PolicyArn=made['Arn'])
    assert client('iam').list_users()['Users']
    assert refused(iam.delete_policy, PolicyArn=made['Arn'])[:2] == ('DeleteConflict', 409)
    iam.detach_user_policy(UserName='owner', PolicyArn=made['Arn'])
    iam.delete_policy(PolicyArn=made['Arn'])
    assert refused(iam.get_policy, PolicyArn=made['Arn'])[:2] == ('NoSuchEntity', 404)


def test_paths(sim):
    iam = sim.client('iam')
    made = iam.create_policy(PolicyName='deep', Path='/a/b/', PolicyDocument=document(policy('Allow', 'iam:ListUsers')))['Policy']
    assert (made['Arn'], made['Path']) == (f'arn:aws:iam::{ACCOUNT}:policy/a/b/deep', '/a/b/')
    assert [p['PolicyName'] for p in iam.list_policies(PathPrefix='/a')['Policies']] == ['deep']
    iam.create_instance_profile(InstanceProfileName='deep', Path='/a/')
    assert [p['Path'] for p in iam.list_instance_profiles(PathPrefix='/a/')['InstanceProfiles']] == ['/a/']
    for call, arguments in ((iam.create_policy, {'PolicyName': 'p', 'PolicyDocument': document(policy('Allow', '*'))}),
                            (iam.create_user, {'UserName': 'p'}), (iam.create_instance_profile, {'InstanceProfileName': 'p'}),
                            (iam.create_role, {'RoleName': 'p', 'AssumeRolePolicyDocument': TRUST_EC2})):
        for path in ('a', '/a', 'a/', '/a b/', '/\x7f/'):
            assert refused(call, Path=path, **arguments) == (
                'ValidationError', 400, 'The specified value for path is invalid. It must begin and end with / and contain'
                ' only alphanumeric characters and/or / characters.')
    for call in (iam.list_policies, iam.list_users, iam.list_roles, iam.list_instance_profiles):
        assert refused(call, PathPrefix='a')[:2] == ('ValidationError', 400)


@pytest.mark.clients
def test_roles_and_profiles(sim):
    iam = sim.client('iam')
    role = iam.create_role(RoleName='web', AssumeRolePolicyDocument=TRUST_EC2)['Role']
    assert role['AssumeRolePolicyDocument'] == json.loads(TRUST_EC2)
    assert role['Arn'] == f'arn:aws:iam::{ACCOUNT}:role/web'
    assert refused(iam.create_role, RoleName='Web', AssumeRolePolicyDocument=TRUST_EC2)[:2] == (
        'EntityAlreadyExists', 409)
    iam.put_role_policy(RoleName='web', PolicyName='p', PolicyDocument=document(policy('Allow', 's3:*')))
    assert iam.get_role_policy(RoleName='web', PolicyName='p')['PolicyDocument']['Statement'][0]['Action'] == 's3:*'
    assert iam.list_role_policies(RoleName='web')['PolicyNames'] == ['p']
    iam.create_instance_profile(InstanceProfileName='web')
    iam.add_role_to_instance_profile(InstanceProfileName='web', RoleName='web')
    profile = iam.get_instance_profile(InstanceProfileName='web')['InstanceProfile']
    assert [row['RoleName'] for row in profile['Roles']] == ['web']
    assert refused(iam.delete_role, RoleName='web')[:2] == ('DeleteConflict', 409)
    assert [row['InstanceProfileName'] for row in
            iam.list_instance_profiles_for_role(RoleName='web')['InstanceProfiles']] == ['web']
    iam.remove_role_from_instance_profile(InstanceProfileName='web', RoleName='web')
    iam.delete_instance_profile(InstanceProfileName='web')
    iam.delete_role_policy(RoleName='web', PolicyName='p')
    iam.delete_role(RoleName='web')
    assert refused(iam.get_role, RoleName='web')[:2] == ('NoSuchEntity', 404)


def test_assuming_a_role(sim):
    iam = sim.client('iam')
    arn, client = make_user(sim, 'eve', policy('Allow', 'sts:AssumeRole'))
    role = iam.create_role(RoleName='job', AssumeRolePolicyDocument=trust(arn))['Role']
    iam.put_role_policy(RoleName='job', PolicyName='p', PolicyDocument=document(policy('Allow', 'iam:ListRoles')))
    answer = client('sts').assume_role(RoleArn=role['Arn'], RoleSessionName='s1', DurationSeconds=900)
    credentials = answer['Credentials']
    left = credentials['Expiration'] - datetime.datetime.now(datetime.timezone.utc)
    assert 880 < left.total_seconds() <= 900
    session = (credentials['AccessKeyId'], credentials['SecretAccessKey'], credentials['SessionToken'])
    assert sim.client('sts', *session).get_caller_identity()['Arn'] == \
        f'arn:aws:sts::{ACCOUNT}:assumed-role/job/s1'
    assert sim.client('iam', *session).list_roles()['Roles']
    assert refused(sim.client('iam', *session).list_users)[0] == 'AccessDenied'
    # Without its token, with somebody else's, with a changed one.
    assert refused(sim.client('sts', *session[:2]).get_caller_identity)[0] == 'InvalidClientTokenId'
    other = client('sts').assume_role(RoleArn=role['Arn'], RoleSessionName='s2')['Credentials']
    assert refused(sim.client('sts', *session[:2], other['SessionToken']).get_caller_identity)[0] == \
        'InvalidClientTokenId'
    changed = ('B' if session[2][0] == 'A' else 'A') + session[2][1:]
    assert refused(sim.client('sts', *session[:2], changed).get_caller_identity)[0] == 'InvalidClientTokenId'
    assert refused(client('sts').assume_role, RoleArn=role['Arn'], RoleSessionName='ss', DurationSeconds=43200)[0] == \
        'ValidationError'
    _, stranger = make_user(sim, 'mallory', policy('Allow', 'sts:AssumeRole'))
    assert refused(stranger('sts').assume_role, RoleArn=role['Arn'], RoleSessionName='ss')[:2] == ('AccessDenied', 403)
    assert refused(client('sts').assume_role, RoleArn=f'arn:aws:iam::{ACCOUNT}:role/none',
                   RoleSessionName='ss')[:2] == ('AccessDenied', 403)
    assert refused(sim.client('sts').assume_role, RoleArn=role['Arn'], RoleSessionName='ss')[0] == 'AccessDenied'
    iam.delete_role_policy(RoleName='job', PolicyName='p')
    iam.delete_role(RoleName='job')
    assert refused(sim.client('sts', *session).get_caller_identity)[0] == 'InvalidClientTokenId'


def test_many_clients_at_once(sim):
    def ask(_):
        return sim.client('sts').get_caller_identity()['Account']
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert set(pool.map(ask, range(100))) == {ACCOUNT}


def test_secrets_do_not_reach_the_log(sim):
    key, secret = sim.credentials
    assert sim.client('sts').get_caller_identity()
    text = pathlib.Path(sim.log).read_text(errors='replace')
    assert secret not in text and 'api.request' in text


def test_identities_survive_a_kill(sim):
    iam = sim.client('iam')
    arn, client = make_user(sim, 'stays', policy('Allow', 'iam:GetUser'))
    credentials = sim.credentials
    sim.restart()
    assert sim.credentials == credentials
    assert client('sts').get_caller_identity()['Arn'] == arn
    assert client('iam').get_user()['User']['UserName'] == 'stays'
    assert 'stays' in [row['UserName'] for row in sim.client('iam').list_users()['Users']]
    assert iam is not None
