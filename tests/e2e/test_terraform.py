"""deploy/terraform by the real Terraform (or OpenTofu) and AWS's provider, where they are installed.

Most of its time the provider waits for what AWS takes: half a minute twice for a load balancer.
"""
import glob
import json
import os
import pathlib
import shutil
import subprocess

import pytest

import daemon

TERRAFORM = shutil.which('terraform') or shutil.which('tofu')
PLACES = [os.environ.get('TF_PLUGIN_MIRROR', ''), os.path.expanduser('~/.terraform.d/plugins'),
          '/usr/share/terraform/plugins', '/usr/local/share/terraform/plugins', *glob.glob('/opt/*')]
MIRROR = next((place for place in PLACES if place and glob.glob(f'{place}/*/hashicorp/aws/5.*')), None)

pytestmark = [pytest.mark.terraform, pytest.mark.skipif(not TERRAFORM or not MIRROR,
                                reason='terraform or tofu, or its AWS provider 5.x, is not installed here')]

NOTHING = ['-var', 'min_size=0', '-var', 'desired_capacity=0']
CHANGED = ['-var', 'cpu_high_threshold=70', '-var', 'instance_type=t2.small', '-var', 'max_size=5']
# What an import is told for what has no id of its own.
IMPORT_IDS = {
    'aws_route': '{route_table_id}_{destination_cidr_block}',
    'aws_route_table_association': '{subnet_id}/{route_table_id}',
    'aws_iam_role_policy': '{role}:{name}',
    'aws_iam_role_policy_attachment': '{role}/{policy_arn}',
    'aws_autoscaling_policy': '{autoscaling_group_name}/{name}',
}


class Terraform:
    def __init__(self, muster, directory):
        self.directory, self.muster = directory, muster
        (directory / 'config').write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{MIRROR}"\n  }}\n}}\n')
        shutil.copytree(daemon.ROOT / 'deploy/terraform', directory / 'stack',
                        ignore=shutil.ignore_patterns('.terraform*', '*.tfstate*'))

    def run(self, *arguments, codes=(0,), folder='stack', **environment):
        done = subprocess.run(
            [TERRAFORM, f'-chdir={self.directory / folder}', *arguments], text=True, capture_output=True, timeout=300,
            env={**self.muster.environment(), 'TF_CLI_CONFIG_FILE': str(self.directory / 'config'),
                 'CHECKPOINT_DISABLE': '1', 'TF_IN_AUTOMATION': '1', **environment})
        assert done.returncode in codes, f'{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}'
        return done

    def apply(self, *arguments, **more):
        return self.run('apply', '-no-color', '-input=false', '-auto-approve', *arguments, **more)

    def is_settled(self, *arguments):
        """A plan finds nothing to do."""
        done = self.run('plan', '-no-color', '-input=false', '-detailed-exitcode', *arguments, codes=(0, 2))
        assert done.returncode == 0, done.stdout[-4000:]

    def outputs(self):
        return {name: value['value'] for name, value in json.loads(self.run('output', '-json').stdout).items()}

    def resources(self):
        """address -> (type, attributes) of all that was made."""
        made = {}
        for resource in json.loads((self.directory / 'stack/terraform.tfstate').read_text())['resources']:
            for instance in resource['instances'] if resource['mode'] == 'managed' else []:
                index = f'[{instance["index_key"]}]' if 'index_key' in instance else ''
                made[f'{resource["type"]}.{resource["name"]}{index}'] = resource['type'], instance['attributes']
        return made


@pytest.fixture(scope='module')
def terraform(tmp_path_factory):
    directory = tmp_path_factory.mktemp('terraform')
    for muster in daemon.fresh(directory, ['--compute', 'sim', '--time-scale', '50']):
        terraform = Terraform(muster, directory)
        terraform.run('init', '-no-color', '-input=false')
        yield terraform


def test_its_files_are_tidy(terraform):
    assert terraform.run('fmt', '-check', '-recursive').stdout == ''
    terraform.run('validate', '-no-color')


def test_variables_that_are_wrong_are_named(terraform):
    wrong = {'region=here': 'The region is a name like us-east-2.',
             'min_size=-1': 'a whole number, 0 or more',
             'image_id=debian': 'The image is an id like',
             'ssh_cidr=0.0.0.0/0': 'never from everywhere',
             'cpu_low_threshold=101': 'a percentage above 0'}
    done = terraform.run('plan', '-no-color', '-input=false', *(f'-var={variable}' for variable in wrong), codes=(1,))
    said = ' '.join(done.stderr.replace('│', ' ').split())
    assert [words for words in wrong.values() if words not in said] == []


def test_wrong_credentials_are_said_to_be(terraform):
    done = terraform.run('plan', '-no-color', '-input=false', codes=(1,), AWS_SECRET_ACCESS_KEY='wrong')
    assert 'SignatureDoesNotMatch' in done.stderr + done.stdout


def test_the_stack_is_made_changed_imported_and_removed(terraform):
    autoscaling = terraform.muster.client('autoscaling')
    # A name that is taken stops it half-way; the next run goes on.
    dynamodb = terraform.muster.client('dynamodb')
    dynamodb.create_table(TableName='Candidates', BillingMode='PAY_PER_REQUEST',
                          AttributeDefinitions=[{'AttributeName': 'x', 'AttributeType': 'S'}],
                          KeySchema=[{'AttributeName': 'x', 'KeyType': 'HASH'}])
    done = terraform.apply(*NOTHING, '-target=aws_dynamodb_table.candidates', '-target=aws_vpc.main', codes=(1,))
    assert 'Table already exists: Candidates' in ' '.join(done.stderr.replace('│', ' ').split())
    dynamodb.delete_table(TableName='Candidates')
    daemon.wait(lambda: not dynamodb.list_tables()['TableNames'], 'the table to go')

    terraform.apply(*NOTHING)
    terraform.is_settled(*NOTHING)
    outputs = terraform.outputs()
    assert outputs['auto_scaling_group_name'] == 'candidates-asg' and outputs['url'].startswith('http://127.65.')

    terraform.apply(*CHANGED)
    terraform.is_settled(*CHANGED)
    [group] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=['candidates-asg'])['AutoScalingGroups']
    assert (group['MinSize'], group['MaxSize'], group['LaunchTemplate']['Version']) == (2, 5, '2')
    daemon.wait(lambda: {i['LifecycleState'] for i in autoscaling.describe_auto_scaling_instances()[
        'AutoScalingInstances']} == {'InService'}, 'two instances in service')
    alarms = terraform.muster.client('cloudwatch').describe_alarms()['MetricAlarms']
    assert {a['AlarmName']: a['Threshold'] for a in alarms} == {'candidates-cpu-high': 70, 'candidates-cpu-low': 60}

    made = terraform.resources()
    assert len(made) == 31
    imports = ''.join(f'import {{\n  to = {address}\n  id = "{IMPORT_IDS.get(kind, "{id}").format(**has)}"\n}}\n'
                      for address, (kind, has) in made.items())
    shutil.copytree(terraform.directory / 'stack', terraform.directory / 'imported',
                    ignore=shutil.ignore_patterns('*.tfstate*'))
    (terraform.directory / 'imported/imports.tf').write_text(imports)
    found = terraform.run('plan', '-no-color', '-input=false', *CHANGED, folder='imported').stdout
    assert '31 to import, 0 to add,' in found and '0 to destroy' in found, found[-3000:]

    terraform.apply(*CHANGED, *(f'-replace={address}' for address in (
        'aws_autoscaling_policy.up', 'aws_launch_template.service', 'aws_vpc_security_group_ingress_rule.http',
        'aws_resourcegroups_group.all', 'aws_iam_role_policy.table')))
    terraform.is_settled(*CHANGED)

    terraform.run('destroy', '-no-color', '-input=false', '-auto-approve', *CHANGED)
    assert terraform.resources() == {}
    assert autoscaling.describe_auto_scaling_groups()['AutoScalingGroups'] == []
    assert [v['IsDefault'] for v in terraform.muster.client('ec2').describe_vpcs()['Vpcs']] == [True]
