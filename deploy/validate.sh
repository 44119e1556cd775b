#!/bin/sh
# Does the deployed service work, through its load balancer?
# usage: deploy/validate.sh [URL]        at most 5 minutes until the targets are healthy
. "$(dirname "$0")/lib.sh"

url=${1:-$(stack_output Url)} || die "there is no stack $STACK; deploy it with apply.sh"
name=validation-$(date +%s)
failed=0

ask() # METHOD PATH: sets $code and $body
{
    body=$(curl -s --noproxy '*' --max-time 10 -X "$1" -w '\n%{http_code}' "$url$2") || true
    code=${body##*
}
    body=${body%
*}
}

check() # NAME METHOD PATH WHAT
{
    ask "$2" "$3"
    case $code$body in
    200*"$4"*) good "$1: $2 $3" ;;
    *)
        say "✗ $1: $2 $3: $code $body"
        failed=1
        ;;
    esac
}

serves()
{
    ask GET /gtg
    [ "$code" = 200 ]
}

if ! serves; then
    note "waiting for healthy targets"
    wait_until 300 "an answer of $url/gtg (the last one was: $code)" serves
fi
check "good to go" GET /gtg ""
check "insert" POST "/candidate/$name" "\"$name\""
check "verification" GET "/candidate/$name" "\"$name\""
check "list" GET /candidates "\"$name\""

# It is no candidate of anyone's. (Only for those who may delete; else it stays.)
aws dynamodb delete-item --table-name "$(stack_output TableName)" \
    --key "{\"CandidateName\": {\"S\": \"$name\"}}" > /dev/null 2>&1 || true

[ "$failed" = 0 ] || die "the service at $url does not do what it should"
say "The service is at $url"
