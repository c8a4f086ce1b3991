"""Sentences that the tokenizers are trained and tried on."""

TRAINING = [
    "The ferry leaves at seven, and it is never late.",
    "She counted twenty-three lamps between the harbour and the hill.",
    "It's what they've always done; we'll see whether it's enough.",
    "def add(a, b):\n    return a + b\n",
    "Der Zug fährt um acht Uhr ab, über die Brücke nach Süden.",
    "Größere Straßen sind nicht immer schöner.",
    "L'été dernier, nous avons goûté des pêches à l'ombre.",
    "¿Dónde está la estación? Mañana será otro día.",
    "A manhã começou com chuva e café.",
    "Il cielo è più azzurro dopo la pioggia.",
    "Сегодня утром выпал первый снег.",
    "Το νερό είναι κρύο το πρωί.",
    "今天早上下了第一场雪。",
    "今朝は初雪が降りました。コーヒーを飲みます。",
    "오늘 아침에 첫눈이 내렸습니다.",
    "आज सुबह पहली बर्फ़ गिरी।",
    "هطل الثلج الأول هذا الصباح.",
    "בבוקר ירד שלג ראשון.",
    "เช้านี้หิมะตกครั้งแรก",
    "Sáng nay tuyết đầu mùa đã rơi.",
    "Numbers: 0, 1, 12, 123, 1234, 12345, 3.14, 1e-5, 2026-11-23.",
]

# What is encoded and decoded. Beside plain sentences: composed and decomposed letters, signs
# outside the basic plane, joined emoji, blanks of every kind, and texts that spell special tokens.
CASES = TRAINING + [
    "",
    " ",
    "   three blanks before",
    "blanks after   ",
    "a\u00a0no-break\u2003wide\u3000ideographic\u200bzero-width",
    "tabs\tand\r\nlines\n\n\nand more",
    "UPPER'LL lower'll I'M don't DON'T",
    "café cafe\u0301 Å A\u030a ﬁ ½ ①",
    "👩\u200d👩\u200d👧 🏳️\u200d🌈 🇩🇪 e\u0301\u0302",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 🜚",
    "ด้วย क्ष्म ﷽",
    "1234567 12 345,678.90 ١٢٣ Ⅷ",
    "!!!???... ---===*** <|start|> <|end|> </s> <s>",
    "<|start|>user\nhello<|end|>\n",
    "x" * 70,
    "\u0000\u0001\u007f\u0085\ufeff",
    "mixed中文and日本語with한국어",
]

CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hello"}],
    "system": [
        {"role": "system", "content": "  Be brief.  "},
        {"role": "user", "content": "Wie spät ist es?"},
    ],
    "several": [
        {"role": "user", "content": "first\nline"},
        {"role": "assistant", "content": "<think>hm</think>\n\nsecond "},
        {"role": "user", "content": "{{ third }} {% raw %} \"quoted\" <b>&amp;</b> é 中"},
    ],
    "system-and-several": [
        {"role": "system", "content": "Kurz."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ],
    "assistant-first": [
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ],
}

# Templates with the constructs that those of the supported families use; the texts are our own.
TEMPLATES = {
    # ChatML with a default system message (SmolLM2, Qwen2.5).
    "chatml": """{% for message in messages %}
{% if loop.first and messages[0]['role'] != 'system' %}
{{ '<|start|>system\\nYou answer questions.<|end|>\\n' }}
{% endif %}
{{'<|start|>' + message['role'] + '\\n' + message['content'] + '<|end|>' + '\\n'}}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|start|>assistant\\n' }}
{% endif %}
""",
    # Headers, trimmed contents, a guard as around the clock of Llama 3 (which transformers has).
    "headers": """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if today is defined %}
        {%- set date_string = today %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "[system]\\n\\n" }}
{{- "Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- eos_token }}
{%- for message in messages %}
    {{- '[' + message['role'] + ']\\n\\n' + message['content'] | trim + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '[assistant]\\n\\n' }}
{%- endif %}
""",
    # Strict turns, a system message folded into the first turn (Mistral).
    "turns": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('turns must alternate, and the user begins') }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[ASK] " + system_message + "\\n\\n" + message["content"] + "[/ASK]" }}
        {%- else %}
            {{- "[ASK] " + message["content"] + "[/ASK]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- else %}
        {{- raise_exception("only user and assistant take turns") }}
    {%- endif %}
{%- endfor %}
""",
    # Namespaces, reversed lists, thoughts cut out, string methods, tojson (Qwen3).
    "thoughts": """{%- set ns = namespace(multi_step=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|start|>' + message.role + '\\n' + content + '<|end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and thought %}
            {{- '<|start|>' ~ message.role ~ '\\n<think>' ~ thought.strip('\\n') ~ '</think>' ~ content }}
        {%- else %}
            {{- '<|start|>' ~ message.role ~ '\\n' ~ content }}
        {%- endif %}
        {{- '<|end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    # Macros, filters and JSON.
    "macros": """{%- macro turn(role, content) -%}
<{{ role | upper }} n="{{ content | length }}">{{ content | replace('\\n', ' ') }}</{{ role | upper }}>
{%- endmacro -%}
{% for message in messages if message.role != 'system' -%}
{{ turn(message.role, message.content) }}
{{ message | tojson }}
{% endfor -%}
{{ messages | map(attribute='role') | join(',') }}|{{ messages | selectattr('role', 'equalto', 'user') | list | length }}
""",
}
