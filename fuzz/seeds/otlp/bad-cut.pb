
º
j

service.name
claude-code

service.version
2.0.14

os.type
linux

tailwater.agent
zenÕÅ	¿Î#Ú ÜY¿Î#Ú Ü*
claude_code.user_prompt24

session.id&
$3f6c0f1e-8d0b-4a54-9d53-0f3a6d6a7c112

event.name
user_prompt2-
event.timestamp
2026-01-02T03:04:05.123Z2
event.sequence2
prompt_length
212#
prompt
please keep it a secretÃ	ÄßˇDÚ ÜYÄßˇDÚ Ü*
claude_code.api_request2-
user.id"
 b1946ac92492d2347c6235b4d261118424

sessio