"""Bodies at random: what no client of AWS's would write is refused, or ignored, like the rest that is asked.

Requests of every operation, changed after the client has written them down and before it signs them: JSON with values of
another type, forms with names that are none; and CBOR, which only newer clients speak to CloudWatch. The seed is printed;
MUSTER_SEED=N MUSTER_BODIES=N repeats a run.
"""
import http.client
import os

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import daemon
import spoil
from test_random_calls import GOOD, Caller, answers

CBOR_PATH = '/service/GraniteServiceVersion20100801/operation/'


class Spoiler(Caller):
    def __init__(self, muster, seed):
        super().__init__(muster, seed)
        self.spoils = False
        for client in self.clients.values():
            client.meta.events.register('before-call', self.on_call)
        self.metrics = [operation for service, operation in self.operations if service == 'cloudwatch']
        self.answered = {'form': 0, 'json': 0, 'cbor': 0}

    def on_call(self, params, **_):
        body = params['body']
        if not self.spoils:
            return
        if isinstance(body, dict):
            self.answered['form'] += 1
            params['body'] = spoil.spoiled_form(self.random, body)
        elif body[:1] in (b'{', '{'):
            self.answered['json'] += 1
            params['body'] = spoil.spoiled_json(self.random, body)

    def found(self):
        self.spoils = False
        super().found()
        self.spoils = True

    def call_any(self):
        if self.chance(0.2):
            self.call_cbor(self.random.choice(self.metrics))
        else:
            super().call_any()

    def call_cbor(self, operation):
        good = self.good(GOOD['cloudwatch'].get(operation.name, {}))
        parameters = good if self.chance(0.3) else {**good, **self.members(operation.input_shape)} if operation.input_shape else {}
        body = spoil.spoiled_cbor(self.random, parameters) if self.chance(0.8) else spoil.cbor(parameters)
        request = botocore.awsrequest.AWSRequest('POST', self.muster.endpoint + CBOR_PATH + operation.name, data=body, headers={
            'Content-Type': 'application/cbor', 'smithy-protocol': 'rpc-v2-cbor'})
        botocore.auth.SigV4Auth(botocore.credentials.Credentials(*self.muster.credentials), 'monitoring', daemon.REGION).add_auth(request)
        connection = http.client.HTTPConnection(self.muster.endpoint.partition('//')[2], timeout=10)
        connection.request('POST', CBOR_PATH + operation.name, body, dict(request.headers.items()))
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status < 500, f'{operation.name} {body.hex()}: {answer.status} {said}'
        assert said[:1] >= b'\xa0' if operation.output_shape or answer.status >= 400 else not said, f'{operation.name} {body.hex()}: {said}'
        self.answered['cbor'] += answer.status == 200
        connection.close()


@pytest.mark.random
def test_any_body_is_answered(tmp_path):
    bodies, seed = int(os.environ.get('MUSTER_BODIES', 5000)), int(os.environ.get('MUSTER_SEED', 1))
    print(f'MUSTER_SEED={seed} MUSTER_BODIES={bodies}')
    for muster in daemon.fresh(tmp_path, ['--compute', 'sim', '--time-scale', '20']):
        spoiler = Spoiler(muster, seed)
        answers(spoiler, bodies)
        assert min(spoiler.answered.values()) > 0, spoiler.answered
