"""Run many commands of the AWS CLI in one process, for starting it anew takes most of a second each.

A JSON list of argument lists on standard input; a JSON list of [exit status, output, errors] on standard output. Waiters
ask every 0.2 s, not every 15 or 30; all else is the CLI's own.
"""
import io
import json
import sys
import time

from awscli.clidriver import create_clidriver

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.2))


def run(driver, arguments):
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding='utf-8', write_through=True) for _ in 'oe')
    try:
        status = driver.main(arguments)
    except SystemExit as end:
        status = end.code
    finally:
        output, errors = (stream.buffer.getvalue().decode() for stream in (sys.stdout, sys.stderr))
        sys.stdout, sys.stderr = kept
    return [status, output, errors]


driver = create_clidriver()
json.dump([run(driver, arguments) for arguments in json.load(sys.stdin)], sys.stdout)
