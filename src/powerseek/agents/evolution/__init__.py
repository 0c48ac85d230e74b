"""Evolution: a population of small networks, judged by the returns of whole episodes."""
