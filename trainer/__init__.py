"""From labelled pictures to a judged network: data set, training and honest figures."""
