"""The parsers that come with pqrnn, by the SHA-256 of their entries, which in turn state those of their files.

They are held to these digests whenever they are used, so that a changed weight in an installation is found. It takes
no signature: who could change this file could change the code that verifies one, too. A parser that is added to the
shipped shelf needs a line here, which `sha256sum pqrnn/zoo/checkpoints/NAME/entry.json` gives.
"""

ENTRIES = {
    "clinc150-en": "3250ab7eb9a29e4558159fb120d3b3d082af62adee5141077cc4c8f7c0457232",
    "massive-en": "7ab0bb1eb0b9f54596460b8ff4021b326daf6c4b1bbd50705fa66a198b4d9aa0",
    "mtop-de": "24c6db99303b6cae9f279ca4d026fb328bde52f656c7d61f2c520ec1431e83d7",
    "mtop-en": "f8da3f8c030ad619c1eb597991f881c08831348664f59ff1c14aa1132e7b57ee",
    "mtop-es": "6c20a40970c7cec383f3440392719915679270abaf1833fa941bd6f436a73240",
    "mtop-fr": "f50d864ff50871eb862d4a760647b72b85dc7bf359c3c2867f18d0b06171a23e",
    "mtop-hi": "98b67096667b12910bf82534a9a36bcf9144bad9eaa4e832ecf00c8f6c637752",
    "mtop-six": "fd35a8a9e8f17f79b3595311b029a1e5c1d68f6b5315ab1390b455bcdcc034bb",
    "mtop-th": "298dec3482c2178c8e765ae9994101904f3dee5faefbaa464aa9f31679109e1b",
    "snips-en": "3118dd1addda399bff04c5f0b8ce84b4fb56f2da2a3636980065f1c4d9b619c1",
}
